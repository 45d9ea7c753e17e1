/** MT-PRIORITY (RFC 6710) and held mail (RFC 4865): who goes first to a next hop, and what that is told. */
import { afterEach, expect, it } from 'vitest';
import { makeRig, type Rig } from '../lib/delivery-rig.ts';
import { type Sink, startSink } from '../lib/smtp-sink.ts';

let peer: Sink;
let rig: Rig;

async function open(extensions: readonly string[]): Promise<void> {
  peer = await startSink({ extensions });
  const throughput = { deliveryConcurrency: 1, deliveryConcurrencyPerDestination: 1 };
  rig = makeRig({ config: { relay: { via: `smtp://127.0.0.1:${peer.port}`, tls: 'never' }, throughput } });
}

afterEach(async () => {
  await rig.delivery.drain(0);
  await peer.close();
});

const mails = (): string[] => peer.commands.filter((line) => line.includes('MAIL')).map((line) => line.replace(/^\d+ /, ''));

it('is told to a hop that offers it, 0 for most mail', async () => {
  await open(['PIPELINING', 'MT-PRIORITY MIXER']);
  await rig.send({ to: ['b@y.test'] });
  await rig.send({ to: ['b@y.test'], envelope: { priority: -4 } });
  expect(mails()).toEqual(['MAIL FROM:<sender@example.test> MT-PRIORITY=0', 'MAIL FROM:<sender@example.test> MT-PRIORITY=-4']);
});

it('a hop is never asked to hold mail: that was for us (RFC 4865)', async () => {
  await open(['FUTURERELEASE 600 2100-01-01T00:00:00Z']);
  await rig.send({ to: ['b@y.test'], envelope: { hold: { untilMs: Date.now() - 1, request: 'for;60' } } });
  expect(mails()).toEqual(['MAIL FROM:<sender@example.test>']);
});

it('is not told to a hop that does not offer it, and the mail goes all the same', async () => {
  await open(['PIPELINING']);
  expect(await rig.send({ to: ['b@y.test'], envelope: { priority: 9 } })).toEqual([expect.stringMatching(/^delivered/)]);
  expect(mails()).toEqual(['MAIL FROM:<sender@example.test>']);
});

it('is the order in which messages that are ready for one hop go to it', async () => {
  await open(['PIPELINING']);
  const priorities = [-9, undefined, 2, undefined, 9, -1];
  const ids = priorities.map((priority, index) =>
    rig.put({ from: `${index}@x.test`, to: ['b@y.test'], envelope: priority === undefined ? {} : { priority } }),
  );
  for (const id of ids) await rig.outcomes(id);
  expect(peer.messages.map(({ from }) => from.charAt(0))).toEqual(['4', '2', '1', '3', '5', '0']);
});

it('is that of the bounce, too', async () => {
  await open(['PIPELINING']);
  peer.script = { RCPT: '550 5.1.1 no' };
  await rig.send({ to: ['b@y.test'], envelope: { priority: 7 } });
  await rig.send({ to: ['b@y.test'] });
  expect(rig.bounces.map(({ envelope }) => envelope.priority)).toEqual([7, undefined]);
});

it('is the order in which messages that are ready go into mailboxes', async () => {
  await open([]);
  const recipients = [{ address: 'a@x.test', mailbox: 'alice' }];
  // More than go into mailboxes at once: the first are on their way before the others are there.
  const ids = Array.from({ length: 10 }, (_, index) => rig.put({ to: [], text: `${index}`, envelope: { recipients } }));
  for (const [priority, text] of [
    [-1, 'least'],
    [0, 'ordinary'],
    [5, 'urgent'],
  ] as const)
    ids.push(rig.put({ to: [], text, envelope: { recipients, priority } }));
  for (const id of ids) await rig.outcomes(id);
  const texts = rig.mailboxes.get('alice')!.map(({ text }) => text.split('\r\n').at(-1));
  expect(texts.indexOf('urgent')).toBe(1);
  expect(texts.slice(-2)).toEqual(['ordinary', 'least']);
});
