/** Delivery to another server over real sockets: what goes over the wire, and what becomes of each recipient. */
import { describe, expect, it } from 'vitest';
import { startPeer, startRigTo } from '../lib/delivery-peers.ts';
import { MESSAGE } from '../lib/delivery-rig.ts';
import type { Script, SinkOptions } from '../lib/smtp-sink.ts';

describe('a message to another server', () => {
  it('arrives byte for byte, with its envelope', async () => {
    const peer = await startPeer();
    const rig = startRigTo(peer);
    expect(await rig.send({ from: 'a@x.test', to: ['b@y.test', 'c@z.test'] })).toEqual([
      'delivered: 250 2.0.0 queued as 0-0',
      'delivered: 250 2.0.0 queued as 0-0',
    ]);
    const [message] = peer.messages;
    expect(message).toMatchObject({ from: 'a@x.test', to: ['b@y.test', 'c@z.test'] });
    expect(message?.data.toString('latin1')).toBe(MESSAGE);
  });

  it('declares its size, and 8-bit content where the peer takes it', async () => {
    const peer = await startPeer();
    const rig = startRigTo(peer);
    await rig.send({ to: ['b@y.test'], text: 'Subject: x\r\n\r\n\xe9\r\n', envelope: { body: '8bitmime' } });
    expect(peer.commands).toContain('0 MAIL FROM:<sender@example.test> SIZE=17 BODY=8BITMIME');
  });

  it('is spoken without PIPELINING, SIZE and 8BITMIME to a server that knows only HELO', async () => {
    const peer = await startPeer({ script: { EHLO: '500 what?' } });
    const rig = startRigTo(peer);
    await rig.send({ to: ['b@y.test', 'c@y.test'], envelope: { body: '8bitmime' } });
    expect(peer.commands).toEqual([
      '0 EHLO me.test',
      '0 HELO me.test',
      '0 MAIL FROM:<sender@example.test>',
      '0 RCPT TO:<b@y.test>',
      '0 RCPT TO:<c@y.test>',
      '0 DATA',
    ]);
  });

  it('goes with SMTPUTF8 to a peer that offers it, and to no other', async () => {
    const message = {
      from: 'jürgen@example.test',
      to: ['jörg@y.test'],
      text: Buffer.from('Subject: größer\r\n\r\ntext\r\n', 'utf8'),
      envelope: { smtpUtf8: true },
    } as const;
    const plain = await startPeer({ extensions: ['PIPELINING', '8BITMIME'] });
    expect(await startRigTo(plain).send(message)).toEqual([expect.stringMatching(/^failed: 553 5\.6\.7 /)]);
    expect(plain.commands.filter((line) => line.includes('MAIL'))).toEqual([]);
    const peer = await startPeer({ extensions: ['PIPELINING', '8BITMIME', 'SMTPUTF8'] });
    expect(await startRigTo(peer).send(message)).toEqual([expect.stringMatching(/^delivered/)]);
    const heard = peer.commands.map((line) => Buffer.from(line, 'latin1').toString('utf8'));
    expect(heard).toContain('0 MAIL FROM:<jürgen@example.test> BODY=8BITMIME SMTPUTF8');
    expect(heard).toContain('0 RCPT TO:<jörg@y.test>');
    expect(peer.messages[0]!.data.toString('utf8')).toContain('Subject: größer');
  });

  it.each([
    ['small', true, 10],
    ['small, without PIPELINING', false, 10],
    ['streamed', true, 200_000],
    ['streamed, without PIPELINING', false, 200_000],
  ])('goes octet by octet to a peer that takes binary mail: %s', async (_how, pipelining, size) => {
    const extensions = ['CHUNKING', 'BINARYMIME', ...(pipelining ? ['PIPELINING'] : [])];
    const peer = await startPeer({
      extensions,
      script: { RCPT: ({ line }) => (line.includes('<no') ? '550 5.1.1 no' : undefined) },
    });
    const rig = startRigTo(peer);
    const text = Buffer.from(`a: b\r\n\r\n\xff\n.\r\n.\r\nQUIT\r${'\n\r\0'.repeat(size)}.`, 'latin1');
    const binary = { to: ['no@y.test', 'b@y.test'], text, envelope: { body: 'binarymime' } } as const;
    const first = rig.send(binary);
    const second = rig.send({ to: ['c@y.test'] });
    expect(await first).toEqual([expect.stringMatching(/^failed: 550/), expect.stringMatching(/^delivered/)]);
    expect(await second).toEqual([expect.stringMatching(/^delivered/)]);
    expect(peer.messages.find((one) => one.to.includes('b@y.test'))!.data.equals(text)).toBe(true);
    expect(peer.commands).toContain(`0 BDAT ${text.length} LAST`);
    expect(peer.commands.some((line) => line.endsWith(' BODY=BINARYMIME'))).toBe(true);
    expect(await rig.send({ ...binary, to: ['no@y.test'] })).toEqual([expect.stringMatching(/^failed: 550/)]);
    expect(await rig.send({ to: ['c@y.test'] })).toEqual([expect.stringMatching(/^delivered/)]);
    expect(peer.messages).toHaveLength(3);
  });

  it('fails for good, unsent, when it is larger than the peer takes', async () => {
    const peer = await startPeer({ extensions: ['SIZE 20', 'PIPELINING'] });
    const rig = startRigTo(peer);
    expect(await rig.send({ to: ['b@y.test'] })).toEqual([expect.stringMatching(/^failed: 552 5\.3\.4 /)]);
    expect(peer.commands.filter((line) => line.includes('MAIL'))).toEqual([]);
  });

  it('is streamed when it is large, dots and all', async () => {
    const peer = await startPeer();
    const rig = startRigTo(peer);
    const text = `Subject: big\r\n\r\n${'.dot\r\n..\r\nplain line of text\r\n'.repeat(20_000)}`;
    expect(await rig.send({ to: ['b@y.test'], text })).toEqual([expect.stringMatching(/^delivered/)]);
    expect(peer.messages[0]?.data.toString('latin1') === text).toBe(true);
  });

  it('is sent in several transactions beyond a hundred recipients', async () => {
    const peer = await startPeer();
    const rig = startRigTo(peer);
    const to = Array.from({ length: 250 }, (_, index) => `r${index}@y.test`);
    const results = await rig.send({ to });
    expect(results.every((result) => result.startsWith('delivered'))).toBe(true);
    expect(peer.messages.map((one) => one.to.length).toSorted((a, b) => a - b)).toEqual([50, 100, 100]);
  });
});

describe('recipients of one message', () => {
  it('that were accepted are not sent to again, whatever becomes of the others', async () => {
    const script: Script = { RCPT: ({ line }) => (line.includes('<later@') ? '450 4.2.1 later' : undefined) };
    const peer = await startPeer({ script });
    const rig = startRigTo(peer);
    const id = rig.put({ to: ['good@y.test', 'later@y.test'] });
    expect((await rig.outcomes(id)).map(({ outcome }) => outcome)).toEqual(['delivered', 'deferred']);
    peer.script = {};
    await rig.retry(id);
    expect(peer.messages.map(({ to }) => to)).toEqual([['good@y.test'], ['later@y.test']]);
  });

  const partly = (pipelining: boolean): SinkOptions => ({
    extensions: pipelining ? ['PIPELINING'] : [],
    script: {
      RCPT: ({ line }) =>
        line.includes('bad') ? '550 5.1.1 nobody' : line.includes('later') ? '450 4.2.0 greylisted' : undefined,
    },
  });

  it.each([true, false])('each get their own result (pipelining: %s)', async (pipelining) => {
    const peer = await startPeer(partly(pipelining));
    const rig = startRigTo(peer);
    expect(await rig.send({ to: ['good@y.test', 'bad@y.test', 'later@y.test'] })).toEqual([
      'delivered: 250 2.0.0 queued as 0-0',
      'failed: 550 5.1.1 nobody',
      'deferred: 450 4.2.0 greylisted',
    ]);
    expect(peer.messages).toHaveLength(1);
  });

  it.each([true, false])('all refused send no message, and the next one goes through (pipelining: %s)', async (pipelining) => {
    const peer = await startPeer(partly(pipelining));
    const rig = startRigTo(peer, { config: { throughput: { deliveryConcurrency: 1, deliveryConcurrencyPerDestination: 1 } } });
    expect(await rig.send({ to: ['bad@y.test'] })).toEqual(['failed: 550 5.1.1 nobody']);
    expect(await rig.send({ to: ['good@y.test'] })).toEqual([expect.stringMatching(/^delivered/)]);
    expect(peer.commands).toContain('0 RSET');
    expect(peer.messages).toHaveLength(1);
  });

  it('get a lone dot when the peer says 354 though it took none of them', async () => {
    const peer = await startPeer({ script: { RCPT: '550 5.1.1 nobody', DATA: '354 go on' } });
    const rig = startRigTo(peer);
    expect(await rig.send({ to: ['b@y.test'] })).toEqual(['failed: 550 5.1.1 nobody']);
    await peer.waitFor(1);
    expect(peer.messages[0]?.data.length).toBe(0);
  });

  it('share the reply to MAIL when the sender is refused', async () => {
    const peer = await startPeer({ script: { MAIL: '550 5.7.1 not you', RCPT: '503 no', DATA: '503 no' } });
    const rig = startRigTo(peer);
    expect(await rig.send({ to: ['b@y.test', 'c@y.test'] })).toEqual(['failed: 550 5.7.1 not you', 'failed: 550 5.7.1 not you']);
  });

  it('share the reply to the end of the message', async () => {
    const peer = await startPeer({ script: { dot: '554 5.7.1 spam' } });
    const rig = startRigTo(peer);
    expect(await rig.send({ to: ['b@y.test'] })).toEqual(['failed: 554 5.7.1 spam']);
  });
});
