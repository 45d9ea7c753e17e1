/** Who said the reason that a notice tells (RFC 3464 §2.3.5, §2.3.6): it was guessed from the name of the next hop. */
import { expect, it } from 'vitest';
import { startPeer, startRig, startRigTo } from '../lib/delivery-peers.ts';
import type { Rig } from '../lib/delivery-rig.ts';
import type { SinkOptions } from '../lib/smtp-sink.ts';

/** Remote-MTA and Diagnostic-Code of the bounce, and the reason as people read it. */
async function bounceOf(rig: Rig): Promise<{ host: string | undefined; code: string | undefined; told: string | undefined }> {
  const id = rig.put({ to: ['b@y.test'] });
  await rig.outcomes(id);
  const text = rig.bounces[0]!.text.replaceAll(/\r\n +/g, ' ');
  const find = (pattern: RegExp): string | undefined => pattern.exec(text)?.[1];
  return {
    host: find(/^Remote-MTA: (.*)\r$/m),
    code: find(/^Diagnostic-Code: (.*)\r$/m),
    told: find(/^<b@y\.test> (.*)\r$/m),
  };
}

const ONCE = { maxAttempts: 1 };

it.each<readonly [string, SinkOptions, string]>([
  ['a greeting of refusal', { script: { banner: '554 5.3.2 no service' } }, '554 5.3.2 no service'],
  ['421 to EHLO', { script: { EHLO: { drop: '421 4.3.2 bye' } } }, '421 4.3.2 bye'],
  ['a refusal of MAIL', { script: { MAIL: '550 5.7.1 not from you' } }, '550 5.7.1 not from you'],
  ['a refusal of RCPT', { script: { RCPT: '550 5.1.1 nobody' } }, '550 5.1.1 nobody'],
  ['a refusal of the message', { script: { dot: '554 5.7.1 spam' } }, '554 5.7.1 spam'],
  ['421 to the message', { script: { dot: { drop: '421 4.3.2 bye' } } }, '421 4.3.2 bye'],
])('%s is told as said by the host', async (_what, options, reply) => {
  const peer = await startPeer(options);
  const { host, code, told } = await bounceOf(startRigTo(peer, ONCE));
  expect([host, code]).toEqual(['dns; [127.0.0.1]', `smtp; ${reply}`]);
  expect(told).toContain(`[127.0.0.1]:${peer.port} said: ${reply}`);
});

it.each<readonly [string, SinkOptions, RegExp]>([
  ['a connection that is lost', { script: { dot: 'reset' } }, /^x-posthorn; 451 4\.4\.2 connection to .* lost/],
  ['a message that is too large for the host', { extensions: ['SIZE 5'] }, /^x-posthorn; 552 5\.3\.4 /],
  ['a host that is out of step', { script: { DATA: '250 what?' } }, /^x-posthorn; 451 4\.5\.0 /],
])('%s is told as said by us', async (_what, options, expected) => {
  const { host, code, told } = await bounceOf(startRigTo(await startPeer(options), ONCE));
  expect(host).toBeUndefined();
  expect(code).toMatch(expected);
  expect(told).not.toContain('said:');
});

it('a host that nobody was reached at said nothing', async () => {
  const peer = await startPeer();
  const { port } = peer;
  await peer.close();
  const { host, code } = await bounceOf(startRig({ ...ONCE, config: { relay: { via: `smtp://127.0.0.1:${port}` } } }));
  expect(host).toBeUndefined();
  expect(code).toMatch(/^x-posthorn; 451 4\.4\.1 /);
});
