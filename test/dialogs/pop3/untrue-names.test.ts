/**
 * Files whose names tell what is not so, as other programs leave them: a session that finds it out tells the next one the
 * truth. Such sizes stayed wrong for ever.
 */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { createMaildropOpener } from '@posthorn/core/maildrop/opener';
import { createPop3Session } from '@posthorn/core/pop3/session';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { createPop3Kit } from '../../lib/pop3-ports.ts';
import { RecordingOutput } from '../../lib/smtp-ports.ts';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'untrue-'));
  for (const folder of ['new', 'cur']) mkdirSync(join(root, 'alice/Maildir', folder), { recursive: true });
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

/** @returns what LIST told, and what RETR sent, before dots were taken away; and the UIDL. */
async function session(utf8 = false): Promise<{ told: number; sent: string; uidl: string }> {
  const kit = createPop3Kit();
  const { buffers, clock, log } = kit.ports;
  const maildrops = createMaildropOpener({ root, lockDirectory: join(root, 'locks'), tag: 'test', buffers, clock, log });
  const output = new RecordingOutput();
  const pop3 = createPop3Session(
    { ...kit.ports, maildrops },
    kit.profile,
    { address: '192.0.2.7', port: 1, sessionId: 'S1' },
    output,
  );
  pop3.start();
  const said: string[] = [];
  for (const line of [...(utf8 ? ['UTF8'] : []), 'USER alice', 'PASS secret word', 'UIDL 1', 'LIST 1', 'RETR 1', 'QUIT']) {
    const before = output.text.length;
    pop3.feed(Buffer.from(`${line}\r\n`));
    do await setImmediate();
    while (pop3.waitsFor === 'verdict');
    said.push(output.text.slice(before));
  }
  const [uidl = '', list = '', retr = ''] = said.slice(-4);
  return {
    told: Number(list.split(' ')[2]),
    sent: retr.slice(retr.indexOf('\r\n') + 2, -3),
    uidl: uidl.trim().split(' ')[2] ?? '',
  };
}

const LONG = `${'x'.repeat(998)}\r\n`.repeat(200);

it.each([
  ['a size in ASCII that lies', 'Subject: x\r\n\r\nx\r\n', ',A=9999'],
  ['the same, too long to be read at once', `Subject: x\r\n\r\n${LONG}`, ',A=9999'],
])('%s, is told truly at the next login', async (_what, text, surrogate) => {
  const bytes = Buffer.byteLength(text);
  writeFileSync(join(root, `alice/Maildir/cur/a,S=${bytes},W=${bytes}${surrogate}:2,S`), text);
  const first = await session();
  expect(first.told).not.toBe(first.sent.length);
  for (let times = 0; times < 2; times++) {
    const next = await session();
    expect(next).toEqual({ told: first.sent.length, sent: first.sent, uidl: first.uidl });
  }
  expect((await session(true)).told).toBe(bytes);
});

// Dovecot knows a message by its name: another one is another message to it.
it.each([
  ['read at once', 'Subject: gr\u00fc\u00dfe\r\n\r\nx\r\n'],
  ['too long for that', `Subject: gr\u00fc\u00dfe\r\n\r\n${LONG}`],
])(
  'a header beyond ASCII whose size in ASCII is not told, as Dovecot names it, leaves the name as it is: %s',
  async (_what, text) => {
    const bytes = Buffer.byteLength(text);
    const name = `a,S=${bytes},W=${bytes}:2,S`;
    writeFileSync(join(root, 'alice/Maildir/cur', name), text);
    await session();
    expect((await session(true)).told).toBe(bytes);
    expect(readdirSync(join(root, 'alice/Maildir/cur'))).toEqual([name]);
  },
);

it.each([
  ['before a dot', 'A: 1\r\n\r\nlf\n.dot\r\n', 'A: 1\r\n\r\nlf\r\n..dot\r\n'],
  ['at the end', 'A: 1\r\n\r\nlf\n', 'A: 1\r\n\r\nlf\r\n'],
  ['before a dot, in one too long to be read at once', `A: 1\r\n\r\n${LONG}\n.`, `A: 1\r\n\r\n${LONG}\r\n..\r\n`],
])('a bare LF %s of a file that claims to have none is sent as CRLF by the next session', async (_where, text, sent) => {
  writeFileSync(join(root, `alice/Maildir/cur/a,S=${text.length},W=${text.length}:2,S`), text);
  const first = await session();
  expect(first.told).toBe(text.length);
  const unstuffed = sent.replaceAll(/^\./gm, '').length;
  for (let times = 0; times < 2; times++) expect(await session()).toEqual({ told: unstuffed, sent, uidl: first.uidl });
});
