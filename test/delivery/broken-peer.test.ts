/** A server that breaks in the middle of a message, over real sockets: what becomes of the message. */
import { describe, expect, it } from 'vitest';
import { startPeer, startRigTo } from '../lib/delivery-peers.ts';

describe('a peer that breaks', () => {
  it.each(['banner', 'EHLO', 'MAIL', 'RCPT', 'DATA', 'dot'])('by reset at %s defers the message', async (at) => {
    const peer = await startPeer({ script: { [at]: 'reset' } });
    const rig = startRigTo(peer);
    expect(await rig.send({ to: ['b@y.test'] })).toEqual([expect.stringMatching(/^deferred: 451 4\.4\.[12] /)]);
  });

  it.each(['EHLO', 'MAIL', 'RCPT', 'DATA', 'dot'])('by 421 at %s defers the message with its reply', async (at) => {
    const peer = await startPeer({ script: { [at]: { drop: '421 4.3.2 going down' } } });
    const rig = startRigTo(peer);
    expect(await rig.send({ to: ['b@y.test'] })).toEqual(['deferred: 421 4.3.2 going down']);
  });

  it.each(['banner', 'EHLO', 'MAIL', 'RCPT', 'DATA', 'dot'])(
    'by silence at %s defers the message after its timeout',
    async (at) => {
      const peer = await startPeer({ script: { [at]: 'silent' } });
      const short = { greetingMs: 50, commandMs: 50, dataMs: 50, dotMs: 50 };
      const rig = startRigTo(peer, { timeouts: short });
      expect(await rig.send({ to: ['b@y.test'] })).toEqual([expect.stringMatching(/^deferred: 451 4\.4\.2 .*timed out/)]);
    },
  );

  it('keeps the refusals it gave before it broke', async () => {
    const peer = await startPeer({
      script: { RCPT: ({ line }) => (line.includes('bad') ? '550 5.1.1 nobody' : undefined), DATA: 'reset' },
      extensions: [],
    });
    const rig = startRigTo(peer);
    const [bad, good] = await rig.send({ to: ['bad@y.test', 'good@y.test'] });
    expect(bad).toBe('failed: 550 5.1.1 nobody');
    expect(good).toMatch(/^deferred: 451 4\.4\.2 /);
  });

  it('by a reply without end defers the message', async () => {
    const peer = await startPeer({ script: { EHLO: { raw: '250-more\r\n'.repeat(1000) } } });
    const rig = startRigTo(peer);
    expect(await rig.send({ to: ['b@y.test'] })).toEqual(['deferred: 451 4.5.0 the mail host sent a reply without end']);
  });

  it('by what is no reply defers the message', async () => {
    const peer = await startPeer({ script: { banner: { raw: 'SSH-2.0-OpenSSH_9.6\r\n' } } });
    const rig = startRigTo(peer);
    expect(await rig.send({ to: ['b@y.test'] })).toEqual(['deferred: 451 4.5.0 the mail host sent what is no reply']);
  });

  it('by more replies than were asked for is left, the message delivered', async () => {
    const peer = await startPeer({ script: { dot: { raw: '250 ok\r\n250 again\r\n' } } });
    const rig = startRigTo(peer);
    expect(await rig.send({ to: ['b@y.test'] })).toEqual(['delivered: 250 ok']);
    expect(await rig.send({ to: ['b@y.test'] })).toEqual(['delivered: 250 ok']);
    expect(peer.connections).toBe(2);
  });

  it('by refusing in the middle of a large message gets no final dot', async () => {
    let told = false;
    const peer = await startPeer({ script: { body: () => (told ? 'silent' : ((told = true), '552 5.3.4 too much')) } });
    const rig = startRigTo(peer);
    const text = `Subject: big\r\n\r\n${'plain line of text\r\n'.repeat(200_000)}`;
    expect(await rig.send({ to: ['b@y.test'], text })).toEqual(['failed: 552 5.3.4 too much']);
    expect(peer.messages).toHaveLength(0);
  });

  it('shows nothing but ASCII of what it says', async () => {
    const peer = await startPeer({ script: { dot: { raw: '554 5.7.1 n\xe9in \x1b[31m\x07!\r\n' } } });
    const rig = startRigTo(peer);
    expect(await rig.send({ to: ['b@y.test'] })).toEqual(['failed: 554 5.7.1 n?in ?[31m?!']);
  });
});
