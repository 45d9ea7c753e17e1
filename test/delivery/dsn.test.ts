/** Who is told what of a message's way (RFC 3461), with next hops that know DSN and some that do not. */
import type { Envelope } from '@posthorn/core/mail/envelope';
import { systemClock } from '@posthorn/core/mail/system-clock';
import type { Outcome } from '@posthorn/core/delivery/ports';
import { StoreError } from '@posthorn/core/queue/store';
import { describe, expect, it } from 'vitest';
import { startRig } from '../lib/delivery-peers.ts';
import { MESSAGE, type Rig, type RigMessage } from '../lib/delivery-rig.ts';
import { actions, ask, asked, hop, HOUR, rigTo } from '../lib/dsn-rig.ts';

describe('to a host with DSN', () => {
  it('all goes along as it came, and we tell of no success (RFC 3461 §5.2.1)', async () => {
    const sink = await hop(['DSN']);
    const rig = rigTo(sink);
    const recipients = [
      { address: 'a@y.test', notify: ['success', 'delay'] as const, orcpt: 'rfc822;Team+2Bx@z.test' },
      { address: 'b@y.test', notify: [] },
      { address: 'c@y.test' },
    ];
    await rig.send({ to: [], envelope: { recipients, ret: 'headers', envid: 'QQ+2B1' } });
    expect(asked(sink)).toEqual([
      'MAIL FROM:<sender@example.test> RET=HDRS ENVID=QQ+2B1',
      'RCPT TO:<a@y.test> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;Team+2Bx@z.test',
      'RCPT TO:<b@y.test> NOTIFY=NEVER ORCPT=rfc822;b@y.test',
      'RCPT TO:<c@y.test>',
    ]);
    expect(rig.bounces).toEqual([]);
  });

  it('an ORCPT of ours is the address of the RCPT, in xtext', async () => {
    const sink = await hop(['DSN']);
    const rig = rigTo(sink);
    await rig.send({ to: [], envelope: ask({ original: 'a+b=c@x.test', notify: ['failure'] }) });
    expect(asked(sink)[1]).toBe('RCPT TO:<b@y.test> NOTIFY=FAILURE ORCPT=rfc822;a+2Bb+3Dc@x.test');
  });

  it('an ORCPT beyond ASCII goes in ASCII where SMTPUTF8 does not go (RFC 6533 §3)', async () => {
    const sink = await hop(['DSN']);
    await rigTo(sink).send({ to: [], envelope: ask({ orcpt: 'utf-8;ü@x.test' }, { smtpUtf8: true }) });
    expect(asked(sink)[1]).toBe(String.raw`RCPT TO:<b@y.test> ORCPT=utf-8;\x{FC}@x.test`);
  });

  it('what it refuses is told by us', async () => {
    const rig = rigTo(await hop(['DSN'], { RCPT: '550 5.1.1 nobody' }));
    await rig.send({ to: [], envelope: ask({ notify: ['failure'] }) });
    expect(actions(rig)).toEqual(['failed']);
  });

  it('a notice asks for silence and nothing else (RFC 3461 §6.1)', async () => {
    const sink = await hop(['DSN']);
    await rigTo(sink).send({ from: '', to: [], envelope: ask({ notify: [] }) });
    expect(asked(sink)).toEqual(['MAIL FROM:<>', 'RCPT TO:<b@y.test> NOTIFY=NEVER']);
  });
});

describe('to a host without DSN', () => {
  it('nothing is said, and a success that was asked for is told as relayed (RFC 3461 §5.2.2)', async () => {
    const sink = await hop([]);
    const rig = rigTo(sink);
    await rig.send({ to: [], envelope: ask({ notify: ['success'] }, { ret: 'full', envid: 'x1' }) });
    expect(asked(sink)).toEqual(['MAIL FROM:<sender@example.test>', 'RCPT TO:<b@y.test>']);
    expect(actions(rig)).toEqual(['relayed']);
    expect(rig.bounces[0]?.envelope).toMatchObject({ reversePath: '', recipients: [{ notify: [] }] });
    expect(rig.bounces[0]?.text).toMatch(/Original-Envelope-Id: x1\r\n[^]*Status: 2\.0\.0\r\n[^]*text\/rfc822-headers/);
    expect(rig.events.filter((event) => event.startsWith('='))).toEqual(['=bounce', '=settle']);
  });

  it.each([[undefined], [[]], [['failure']], [['delay']]] as const)('NOTIFY %j tells of no success', async (notify) => {
    const rig = rigTo(await hop([]));
    await rig.send({ to: [], envelope: ask(notify === undefined ? {} : { notify }) });
    expect(rig.bounces).toEqual([]);
  });

  it.each([
    [undefined, ['failed']],
    [['failure'], ['failed']],
    [[], []],
    [['success', 'delay'], []],
  ] as const)('NOTIFY %j on failure: %j (RFC 3461 §5.2.6)', async (notify, told) => {
    const rig = rigTo(await hop([], { RCPT: '550 5.1.1 nobody' }));
    await rig.send({ to: [], envelope: ask(notify === undefined ? {} : { notify }) });
    expect(actions(rig)).toEqual(told);
  });

  it('tells in one notice of those alone who want it (RFC 3461 §5.2.8)', async () => {
    const rig = rigTo(await hop([], { RCPT: '550 5.1.1 nobody' }));
    const recipients = [{ address: 'a@y.test', notify: [] }, { address: 'b@y.test' }];
    await rig.send({ to: [], envelope: { recipients } });
    expect(rig.bounces).toHaveLength(1);
    expect(rig.bounces[0]?.text).not.toContain('a@y.test');
  });

  it('a message from nobody is told of to nobody', async () => {
    const rig = rigTo(await hop([]));
    await rig.send({ from: '', to: [], envelope: ask({ notify: ['success', 'failure'] }) });
    expect(rig.bounces).toEqual([]);
  });

  it('what is discarded was not delivered', async () => {
    const rig = rigTo(undefined);
    await rig.send({ to: [], envelope: ask({ notify: ['success'] }) });
    expect(rig.bounces).toEqual([]);
  });
});

describe('into a mailbox', () => {
  it('success is told as delivered (RFC 3461 §5.2.3)', async () => {
    const rig = rigTo(undefined);
    await rig.send({ to: [], envelope: ask({ mailbox: 'b', notify: ['success'] }) });
    expect(actions(rig)).toEqual(['delivered']);
  });

  it('by LMTP too', async () => {
    const rig = rigTo(await hop([], {}, true), {}, 'lmtp');
    await rig.send({ to: [], envelope: ask({ notify: ['success'] }) });
    expect(actions(rig)).toEqual(['delivered']);
  });

  it('an alias for several is told of once, as expanded, and asks its members for no success (RFC 3461 §5.2.7.3)', async () => {
    const sink = await hop(['DSN']);
    const rig = rigTo(sink);
    const member = { original: 'team@x.test', notify: ['success', 'failure'], expanded: true, orcpt: 'rfc822;t@x.test' } as const;
    const recipients = [
      { address: 'a@x.test', mailbox: 'a', ...member },
      { address: 'b@y.test', ...member },
    ];
    await rig.send({ to: [], envelope: { recipients } });
    expect(actions(rig)).toEqual(['expanded']);
    expect(rig.bounces[0]?.text).toContain('Original-Recipient: rfc822; t@x.test\r\nFinal-Recipient: rfc822; team@x.test\r\n');
    expect(asked(sink)[1]).toBe('RCPT TO:<b@y.test> NOTIFY=FAILURE ORCPT=rfc822;t@x.test');
  });

  it('a success whose notice cannot be stored is told later, and not delivered again', async () => {
    const full = { submitNotice: () => Promise.reject(new StoreError('PH_STORE_FULL', 'disk full')) };
    const first = rigTo(undefined, { ports: full });
    const envelope = ask({ mailbox: 'b', notify: ['success'] });
    const id = first.put({ to: [], envelope });
    const [outcome] = await first.outcomes(id);
    expect(outcome).toMatchObject({ outcome: 'deferred', owed: { nextHop: 'maildir:b' } });
    expect(first.mailboxes.get('b')).toHaveLength(1);
    const { owed, reply } = outcome as { owed: NonNullable<object>; reply: string };
    const second = rigTo(undefined);
    const state = { recipients: [{ status: 'pending', attempts: 1, nextAttemptAtMs: 0, reply, owed }] } as never;
    expect(await second.send({ to: [], envelope, state })).toEqual(['delivered: 250 2.0.0 delivered to the mailbox']);
    expect(second.mailboxes.size).toBe(0);
    expect(actions(second)).toEqual(['delivered']);
  });
});

describe('an alias for several', () => {
  it('an expansion whose notice cannot be stored is told later, once', async () => {
    const sink = await hop(['DSN']);
    const member = { original: 'team@x.test', notify: ['success'], expanded: true } as const;
    const recipients = [
      { address: 'a@x.test', mailbox: 'a', ...member },
      { address: 'b@y.test', ...member },
    ];
    const first = rigTo(sink, { ports: { submitNotice: () => Promise.reject(new StoreError('PH_STORE_FULL', 'disk full')) } });
    const outcomes = (await first.outcomes(first.put({ to: [], envelope: { recipients } }))).toSorted(
      (a, b) => a.index - b.index,
    );
    expect(outcomes).toEqual([0, 1].map((index) => expect.objectContaining({ index, outcome: 'deferred', unexpanded: true })));
    const second = rigTo(sink);
    const state = {
      recipients: outcomes.map((one) => ({ ...one, status: 'pending', attempts: 1 })),
    } as never;
    await second.send({ to: [], envelope: { recipients }, state });
    expect(actions(second)).toEqual(['expanded']);
    expect([second.mailboxes.size, sink.messages.length]).toEqual([0, 1]);
  });
});

describe('an alias for several, in mail that was let go before its time', () => {
  it('is told of as expanded: what the command wrote without a server was taken for an attempt that had told so', async () => {
    const rig = rigTo(await hop(['DSN']));
    const member = { original: 'team@x.test', notify: ['success'], expanded: true } as const;
    const recipients = ['a@y.test', 'b@y.test'].map((address) => ({ address, ...member }));
    const state = { recipients: recipients.map(() => ({ status: 'pending', attempts: 0, nextAttemptAtMs: 1 }) as const) };
    await rig.send({ to: [], envelope: { recipients }, state });
    expect(actions(rig)).toEqual(['expanded']);
  });
});

describe('an alias for several is not told of as passed on', () => {
  const members = (...addresses: string[]) =>
    addresses.map((address) => ({ address, original: 'team@x.test', notify: ['success', 'failure'], expanded: true }) as const);
  const stateOf = (outcomes: readonly Outcome[]) =>
    ({ recipients: outcomes.map((one) => ({ ...one, status: 'pending', attempts: 1 })) }) as never;

  it('where nobody it stands for can be reached: it was, beside the bounce', async () => {
    const rig = rigTo(await hop([], { RCPT: '550 5.1.1 nobody' }));
    await rig.send({ to: [], envelope: { recipients: members('a@y.test', 'b@y.test') } });
    expect(actions(rig)).toEqual(['failed', 'failed']);
  });

  it('when the bounce can be stored at last, either', async () => {
    const sink = await hop([], { RCPT: '550 5.1.1 nobody' });
    const recipients = members('a@y.test', 'b@y.test');
    const full = rigTo(sink, { ports: { submitNotice: () => Promise.reject(new StoreError('PH_STORE_FULL', 'disk full')) } });
    const outcomes = await full.outcomes(full.put({ to: [], envelope: { recipients } }));
    expect(outcomes).toEqual([0, 1].map((index) => expect.objectContaining({ index, outcome: 'deferred', unexpanded: true })));
    const rig = rigTo(sink);
    await rig.send({ to: [], envelope: { recipients }, state: stateOf(outcomes) });
    expect(actions(rig)).toEqual(['failed', 'failed']);
  });

  it('while deliveries are held, but once one of them was tried', async () => {
    const recipients = members('a@y.test', 'b@y.test');
    const throughput = { deliveryConcurrency: 0, deliveryConcurrencyPerDestination: 1 };
    const held = startRig({ config: { throughput } });
    const outcomes = await held.outcomes(held.put({ to: [], envelope: { recipients }, late: true }));
    expect(outcomes).toEqual([0, 1].map((index) => expect.objectContaining({ index, outcome: 'deferred', unexpanded: true })));
    expect(held.bounces).toEqual([]);
    const first = rigTo(await hop([], { RCPT: '450 4.2.0 later' }));
    const later = await first.outcomes(first.put({ to: [], envelope: { recipients }, state: stateOf(outcomes) }));
    expect(actions(first)).toEqual(['expanded']);
    expect(later.map((one) => 'unexpanded' in one)).toEqual([false, false]);
    const second = rigTo(await hop([]));
    await second.send({ to: [], envelope: { recipients }, state: stateOf(later) });
    expect(actions(second)).toEqual([]);
  });

  it('and is, where one has it and another cannot', async () => {
    const recipients = [...members('a@y.test', 'b@y.test')];
    const rig = rigTo(await hop([], { RCPT: ({ line }) => (line.includes('a@') ? '550 5.1.1 nobody' : undefined) }));
    await rig.send({ to: [], envelope: { recipients } });
    expect(actions(rig)).toEqual(['expanded', 'failed']);
  });
});

describe('a notice to an address beyond ASCII', () => {
  const internal = { listener: 'internal', clientAddress: '', clientPort: 0, helo: '', protocol: 'SMTP', sessionId: 's' };
  const notice = { from: '', to: ['jörg@y.test'], envelope: { origin: internal, smtpUtf8: true } } as const;

  it('goes with SMTPUTF8 where its own way offers that, wherever the message could not go', async () => {
    const sink = await hop(['8BITMIME', 'SMTPUTF8']);
    expect(await rigTo(sink).send(notice)).toEqual([expect.stringMatching(/^delivered/)]);
    expect(asked(sink)).toEqual([
      'MAIL FROM:<> BODY=8BITMIME SMTPUTF8',
      `RCPT TO:<${Buffer.from('jörg').toString('latin1')}@y.test>`,
    ]);
  });

  it('is told to the operator where it does not: it went without a word', async () => {
    const rig = rigTo(await hop(['8BITMIME']));
    expect(await rig.send(notice)).toEqual([expect.stringMatching(/^failed: 553 5\.6\.7/)]);
    expect(rig.events).toEqual(expect.arrayContaining(['delivery.notice.lost', '+delivery.notice.lost']));
    expect(rig.bounces).toEqual([]);
  });
});

describe('what comes back (RET, RFC 3461 §4.3)', () => {
  const refusing = async (): Promise<Rig> => rigTo(await hop([], { RCPT: '550 5.1.1 nobody' }));

  it('is the whole on failure where FULL was asked and it is small enough', async () => {
    const rig = await refusing();
    await rig.send({ to: [], envelope: ask({}, { ret: 'full' }) });
    expect(rig.bounces[0]?.text).toMatch(/message\/rfc822\r\n\r\nSubject: hello\r\n[^]*\r\n\r\nHello\.\r\n/);
  });

  it('is the header of what no 7-bit host could be told: its notice bounced there, and was lost', async () => {
    const rig = await refusing();
    const texts = [
      'Subject: caf\xe9 in Latin-1\r\n\r\nHello.\r\n',
      'Content-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n\r\nHello, caf\xe9\r\n--b--\r\n',
    ];
    for (const text of texts) await rig.send({ to: [], text, envelope: ask({}, { ret: 'full', body: '8bitmime' }) });
    // 8-bit text can be converted, and comes back whole.
    const text = 'Subject: x\r\n\r\nHello, caf\xe9\r\n';
    await rig.send({ to: [], text, envelope: ask({}, { ret: 'full', body: '8bitmime' }) });
    expect(rig.bounces.map(({ text: one }) => one.includes('Hello'))).toEqual([false, false, true]);
    const old = rigTo(await hop([]));
    for (const { envelope, text: notice } of rig.bounces) {
      const { recipients, body } = envelope;
      expect(await old.send({ from: '', to: [], text: notice, envelope: { recipients, body } })).toEqual([
        expect.stringMatching(/^delivered/),
      ]);
    }
  });

  it('is the header of what is larger, or where HDRS or nothing was asked', async () => {
    const rig = await refusing();
    const text = `Subject: hello\r\n\r\n${'Hello.\r\n'.repeat(200)}`;
    await rig.send({ to: [], text, envelope: ask({}, { ret: 'full' }) });
    await rig.send({ to: [], envelope: ask({}, { ret: 'headers' }) });
    await rig.send({ to: [], envelope: ask({}) });
    expect(rig.bounces.filter(({ text: one }) => one.includes('Hello.'))).toEqual([]);
    expect(rig.bounces.every(({ text: one }) => one.includes('text/rfc822-headers'))).toBe(true);
  });
});

describe('a delay', () => {
  const old = (hours: number): Partial<Envelope> => ({ receivedAtMs: systemClock.now() - hours * HOUR });
  const slow = async (): Promise<Rig> => rigTo(await hop([], { RCPT: '451 4.2.0 later' }));
  it('is told at its age, not with the retry that comes after it', async () => {
    const rig = await slow();
    // The next retry is in a minute; the warning is due in ten seconds.
    const envelope = ask({}, { receivedAtMs: systemClock.now() - 4 * HOUR + 10_000 });
    const nextOf = async (over: Partial<Envelope>): Promise<number> => {
      const [outcome] = await rig.outcomes(rig.put({ to: [], envelope: { ...envelope, ...over } }));
      return outcome?.outcome === 'deferred' ? outcome.nextAttemptAtMs : 0;
    };
    expect(await nextOf({})).toBe(envelope.receivedAtMs! + 4 * HOUR);
    const later = systemClock.now() + 50_000;
    expect(await nextOf(ask({ notify: ['failure'] }))).toBeGreaterThan(later);
    expect(await nextOf({ reversePath: '' })).toBeGreaterThan(later);
    expect(rig.bounces).toEqual([]);
  });

  const tried = (warned?: number): never =>
    ({
      recipients: [{ status: 'pending', attempts: 3, nextAttemptAtMs: 0, ...(warned === undefined ? {} : { warned }) }],
    }) as never;

  it.each([
    [undefined, ['delayed']],
    [['delay'], ['delayed']],
    [['failure', 'success'], []],
    [[], []],
  ] as const)('is told after queue.warnAfter, NOTIFY %j: %j (RFC 3461 §5.2.5)', async (notify, told) => {
    const rig = await slow();
    await rig.send({ to: [], envelope: ask(notify === undefined ? {} : { notify }, old(5)), state: tried() });
    expect(actions(rig)).toEqual(told);
    if (told.length > 0) expect(rig.bounces[0]?.text).toMatch(/Status: 4\.2\.0\r\n[^]*Will-Retry-Until: /);
  });

  it('is told once for each age, not before, and what was told is noted', async () => {
    const rig = await slow();
    await rig.send({ to: [], envelope: ask({}, old(3)), state: tried() });
    await rig.send({ to: [], envelope: ask({}, old(5)), state: tried(1) });
    expect(rig.bounces).toEqual([]);
    const id = rig.put({ to: [], envelope: ask({}, old(25)), state: tried(1) });
    expect(await rig.outcomes(id)).toEqual([expect.objectContaining({ outcome: 'deferred', warned: 2 })]);
    expect(actions(rig)).toEqual(['delayed']);
  });

  it('brings the header alone, whatever RET said', async () => {
    const rig = await slow();
    await rig.send({ to: [], envelope: ask({}, { ret: 'full', ...old(5) }), state: tried() });
    expect(rig.bounces[0]?.text).not.toContain('Hello.');
  });
});

it('everybody who gets nothing is told of, however many they are, in several notices', async () => {
  const rig = rigTo(await hop([], { MAIL: '550 5.7.1 not from you' }));
  const to = Array.from({ length: 2_300 }, (_, index) => `r${index}@y.test`);
  await rig.send({ to });
  expect(rig.bounces.map(({ text }) => text.match(/^Action: failed\r$/gm)?.length)).toEqual([1_000, 1_000, 300]);
  for (const address of to) expect(rig.bounces.some(({ text }) => text.includes(`rfc822; ${address}\r\n`))).toBe(true);
});

describe('a message that is damaged on the disk', () => {
  const damaged = { bodyError: new StoreError('PH_STORE_DAMAGED', 'checksum') };
  const large = `${MESSAGE}${'x'.repeat(70)}\r\n`.repeat(2000);
  const toAlice = { recipients: [{ address: 'alice@me.test', mailbox: 'alice' }] };

  it.each<[string, RigMessage]>([
    ['small', { to: ['b@y.test'] }],
    ['streamed', { to: ['b@y.test'], text: large }],
    ['for a mailbox', { to: [], envelope: toAlice }],
  ])('%s: its sender is told at once, with what can be read of it; it was tried until its time was over', async (_, message) => {
    const rig = rigTo(await hop([]), damaged);
    const results = await rig.send({ ...message, envelope: { ...message.envelope, ret: 'full' } });
    expect(results).toEqual(['failed: 554 5.3.0 the message is damaged on the disk of this server']);
    expect(rig.bounces[0]?.text).toMatch(/Status: 5\.3\.0\r\n[^]*Content-Type: text\/rfc822-headers\r\n\r\nSubject: hello\r\n/);
    expect(rig.events).toContain('delivery.damaged');
    // Of a large one its header is read, and no more.
    if (message.text === undefined) expect(rig.events).toContain('delivery.bounce.damaged');
    expect(rig.mailboxes.size).toBe(0);
  });

  it('fails nobody when its store cannot be read for now', async () => {
    const rig = rigTo(await hop([]), { bodyError: new StoreError('PH_STORE_FAILED', 'disk') });
    const results = await rig.send({ to: ['b@y.test'] });
    expect(results).toEqual(['deferred: 451 4.3.0 the message could not be read: PH_STORE_FAILED']);
  });
});

it('of several notices only those that were not stored are written again: the first thousand were told twice', async () => {
  const recipients = Array.from({ length: 1500 }, (_, index) => ({ address: `u${index}@y.test` }));
  let stored = 0;
  const rig = rigTo(await hop([], { RCPT: '550 5.1.1 nobody' }), {
    ports: {
      submitNotice: async () => {
        if (++stored > 1) throw new StoreError('PH_STORE_FULL', 'disk full');
      },
    },
  });
  const outcomes = await rig.outcomes(rig.put({ to: [], envelope: { recipients } }));
  const count = (what: string): number => outcomes.filter(({ outcome }) => outcome === what).length;
  expect([count('failed'), count('deferred')]).toEqual([1000, 500]);
  expect(rig.events.filter((event) => event === 'delivery.bounce.unstored')).toHaveLength(1);
});
