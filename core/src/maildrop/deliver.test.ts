import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Log } from '../observe/log.ts';
import { createLocalMailbox } from './deliver.ts';
import { nodeFileCalls, type FileCalls } from './file-calls.ts';
import type { LocalMailbox } from './mailbox.ts';
import { BufferPool } from '../wire/buffer-pool.ts';
import { createMaildropOpener } from './opener.ts';

let root: string;
const log: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  with: () => log,
};
let laterMs = 0;
const clock = { now: () => Date.now() + laterMs, monotonic: () => performance.now(), after: () => () => undefined };
const HEAD = Buffer.from('Return-Path: <a@b.example>\r\n');

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'deliver-'));
  laterMs = 0;
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

function makeMailbox(files: FileCalls = nodeFileCalls): LocalMailbox {
  return createLocalMailbox({ root, clock, log, files });
}

async function* body(...chunks: readonly string[]): AsyncGenerator<Uint8Array> {
  const reused = Buffer.alloc(1_000_000);
  for (const chunk of chunks) {
    const length = reused.write(chunk, 'latin1');
    yield reused.subarray(0, length);
    reused.fill('?', 0, length);
  }
}

function filesIn(folder: string): string[] {
  const path = join(root, 'alice/Maildir', folder);
  return existsSync(path) ? readdirSync(path) : [];
}

function read(folder: string): string {
  return readFileSync(join(root, 'alice/Maildir', folder, filesIn(folder)[0]!), 'latin1');
}

describe('a delivery', () => {
  it('makes the mailbox, and stores the very bytes under a name that tells id and sizes', async () => {
    await makeMailbox().deliver('alice', '01ABC', HEAD, body('A: 1\r\n', '\r\n', '.\r\n\xff\r\n'));
    const text = `${HEAD.toString()}A: 1\r\n\r\n.\r\n\xff\r\n`;
    expect(filesIn('new')).toEqual([`01ABC.posthorn,S=${text.length},W=${text.length}`]);
    expect(read('new')).toBe(text);
    expect(filesIn('tmp')).toEqual([]);
  });

  it('tells in the name what the surrogate of an internationalised header will have', async () => {
    const text = Buffer.from('Subject: \u00fc\r\n\r\nx\r\n').toString('latin1');
    await makeMailbox().deliver('alice', '01ABC', HEAD, body(text));
    const size = HEAD.length + text.length;
    expect(filesIn('new')).toEqual([`01ABC.posthorn,S=${size},W=${size},A=${size - 2 + '=?UTF-8?B?w7w=?='.length}`]);
    expect(read('new')).toBe(HEAD.toString() + text);
  });

  it('writes large messages too, whatever the chunks', async () => {
    const line = `${'x'.repeat(76)}\r\n`;
    const chunks = Array.from({ length: 40 }, (_, index) => line.repeat(index * 20));
    await makeMailbox().deliver('alice', '01ABC', HEAD, body(...chunks));
    expect(read('new')).toBe(HEAD.toString() + chunks.join(''));
  });

  it('ends the last line, and tells the size with CRLF of a message with bare LF', async () => {
    await makeMailbox().deliver('alice', '01ABC', HEAD, body('A: 1\n\nno end'));
    const text = `${HEAD.toString()}A: 1\n\nno end\r\n`;
    expect(filesIn('new')).toEqual([`01ABC.posthorn,S=${text.length},W=${text.length + 2}`]);
    expect(read('new')).toBe(text);
  });

  it('into quarantine goes into a Maildir++ folder', async () => {
    await makeMailbox().deliver('alice', '01ABC', HEAD, body('A: 1\r\n'), { folder: 'quarantine' });
    expect(filesIn('.Quarantine').sort()).toEqual(['cur', 'maildirfolder', 'new', 'tmp']);
    expect(filesIn('.Quarantine/new')).toHaveLength(1);
    expect(filesIn('new')).toEqual([]);
  });

  it('refuses a name that leads elsewhere, for good', async () => {
    await expect(makeMailbox().deliver('../x', '01ABC', HEAD, body())).rejects.toMatchObject({
      permanent: true,
      enhanced: '5.1.1',
    });
    await expect(makeMailbox().deliver('alice', '../x', HEAD, body())).rejects.toMatchObject({ permanent: false });
    expect(readdirSync(root)).toEqual([]);
  });

  it('can be fetched by POP3 with the same bytes', async () => {
    const mailbox = makeMailbox();
    await mailbox.deliver('alice', '01A', HEAD, body('A: 1\r\n'));
    await mailbox.deliver('alice', '01B', HEAD, body('B: 1\r\n'));
    const opened = await createMaildropOpener({
      root,
      lockDirectory: join(root, 'locks'),
      tag: 't',
      buffers: new BufferPool(),
      clock,
      log,
    }).open('alice');
    if (!opened.ok) throw new Error('not opened');
    expect(opened.drop.messages.map(({ uidl }) => uidl)).toEqual(['01A.posthorn', '01B.posthorn']);
    const { bytes } = (await opened.drop.readWhole(1, 1000))!;
    expect(Buffer.from(bytes).toString()).toBe(`${HEAD.toString()}B: 1\r\n`);
    expect(bytes.length).toBe(opened.drop.messages[1]!.sizeBytes);
    opened.drop.release();
  });
});

describe('a second delivery of the same message', () => {
  it('does nothing, after a restart too, wherever the first one is now', async () => {
    await makeMailbox().deliver('alice', '01ABC', HEAD, body('A: 1\r\n'));
    await makeMailbox().deliver('alice', '01ABC', HEAD, body('A: 1\r\n'));
    const [name] = filesIn('new');
    expect(filesIn('new')).toHaveLength(1);
    renameSync(join(root, 'alice/Maildir/new', name!), join(root, 'alice/Maildir/cur', `${name}:2,S`));
    await makeMailbox().deliver('alice', '01ABC', HEAD, body('A: 1\r\n'));
    expect(filesIn('new')).toEqual([]);
    expect(filesIn('cur')).toHaveLength(1);
  });

  it('does nothing when two addresses of one message lead to one mailbox, at once or one after the other', async () => {
    const mailbox = makeMailbox();
    await Promise.all([
      mailbox.deliver('alice', '01ABC', Buffer.from('Delivered-To: a\r\n'), body('A: 1\r\n')),
      mailbox.deliver('alice', '01ABC', Buffer.from('Delivered-To: alias\r\n'), body('A: 1\r\n')),
    ]);
    await mailbox.deliver('alice', '01ABC', Buffer.from('Delivered-To: another\r\n'), body('A: 1\r\n'));
    expect(filesIn('new')).toHaveLength(1);
  });

  it('lists a mailbox of the past once, not at each delivery', async () => {
    mkdirSync(join(root, 'alice/Maildir/cur'), { recursive: true });
    for (const folder of ['tmp', 'new']) mkdirSync(join(root, 'alice/Maildir', folder));
    writeFileSync(join(root, 'alice/Maildir/cur/01OLD.posthorn,S=1,W=1:2,S'), '');
    const mailbox = makeMailbox();
    await mailbox.deliver('alice', '01OLD', HEAD, body('A: 1\r\n'));
    await mailbox.deliver('alice', '01NEW', HEAD, body('A: 1\r\n'));
    // What appears later under another server's hand is not looked for again.
    writeFileSync(join(root, 'alice/Maildir/cur/01X.posthorn,S=1,W=1:2,S'), '');
    await mailbox.deliver('alice', '01X', HEAD, body('A: 1\r\n'));
    expect(
      filesIn('new')
        .map((name) => name.slice(0, 5))
        .sort(),
    ).toEqual(['01NEW', '01X.p']);
  });
});

describe('a delivery after a crash', () => {
  it('makes what is missing of a Maildir that was begun', async () => {
    for (const begun of [['tmp'], ['new'], ['new', 'cur']]) {
      rmSync(join(root, 'alice'), { recursive: true, force: true });
      for (const folder of begun) mkdirSync(join(root, 'alice/Maildir', folder), { recursive: true });
      await makeMailbox().deliver('alice', '01A', HEAD, body('A: 1\r\n'));
      expect([filesIn('new').length, filesIn('tmp').length]).toEqual([1, 0]);
    }
  });

  it('is not in the way of what the process before it left, which had the same number', async () => {
    for (const folder of ['tmp', 'new', 'cur']) mkdirSync(join(root, 'alice/Maildir', folder), { recursive: true });
    const left = makeMailbox({
      ...nodeFileCalls,
      rename: () => {
        throw Object.assign(new Error('EIO'), { code: 'EIO' });
      },
      remove: () => undefined,
    });
    await expect(left.deliver('alice', '01A', HEAD, body('A: 1\r\n'))).rejects.toMatchObject({ permanent: false });
    expect(filesIn('tmp')).toHaveLength(1);
    laterMs = 1000;
    await makeMailbox().deliver('alice', '01A', HEAD, body('A: 1\r\n'));
    expect(filesIn('new')).toHaveLength(1);
  });
});

describe('when the file system fails', () => {
  const failing = (call: keyof FileCalls, code: string, times = 1): FileCalls => {
    let left = times;
    const original = nodeFileCalls[call] as (...given: readonly unknown[]) => unknown;
    return {
      ...nodeFileCalls,
      [call]: (...given: readonly unknown[]) => {
        if (left-- > 0) throw Object.assign(new Error(code), { code });
        return original(...given);
      },
    };
  };

  it.each(['create', 'write', 'sync', 'rename'] as const)(
    'in %s: deferred, nothing left behind, and the next attempt delivers once',
    async (call) => {
      await makeMailbox().deliver('alice', '01A', HEAD, body('A: 1\r\n'));
      const mailbox = makeMailbox(failing(call, 'ENOSPC'));
      await expect(mailbox.deliver('alice', '01B', HEAD, body('A: 1\r\n'))).rejects.toMatchObject({
        permanent: false,
        enhanced: '4.3.1',
      });
      expect([filesIn('new').length, filesIn('tmp').length]).toEqual([1, 0]);
      await mailbox.deliver('alice', '01B', HEAD, body('A: 1\r\n'));
      expect(filesIn('new')).toHaveLength(2);
    },
  );

  it('in the sync of the folder: deferred, and the next attempt finds the message', async () => {
    await makeMailbox().deliver('alice', '01A', HEAD, body('A: 1\r\n'));
    let failures = 1;
    const mailbox = makeMailbox({
      ...nodeFileCalls,
      syncFolder: (path) =>
        failures-- > 0 ? Promise.reject(Object.assign(new Error('EIO'), { code: 'EIO' })) : nodeFileCalls.syncFolder(path),
    });
    await expect(mailbox.deliver('alice', '01B', HEAD, body('A: 1\r\n'))).rejects.toMatchObject({
      permanent: false,
      enhanced: '4.3.0',
    });
    const moved = filesIn('new').find((name) => name.startsWith('01B'));
    renameSync(join(root, 'alice/Maildir/new', moved!), join(root, 'alice/Maildir/cur', `${moved}:2,S`));
    await mailbox.deliver('alice', '01B', HEAD, body('A: 1\r\n'));
    expect([filesIn('new').length, filesIn('cur').length]).toEqual([1, 1]);
  });

  it('tells the sender nothing of this machine: the cause is for the log', async () => {
    writeFileSync(join(root, 'alice'), 'not a folder');
    const delivery = makeMailbox().deliver('alice', '01A', HEAD, body('A: 1\r\n'));
    await expect(delivery).rejects.toMatchObject({ cause: { code: 'ENOTDIR' } });
    await expect(delivery).rejects.not.toThrow(root);
  });

  it('or the message cannot be read: deferred, nothing left behind', async () => {
    async function* broken(): AsyncGenerator<Uint8Array> {
      yield Buffer.from('A: 1\r\n');
      throw new Error('the queue is broken');
    }
    await expect(makeMailbox().deliver('alice', '01B', HEAD, broken())).rejects.toMatchObject({ permanent: false });
    expect([filesIn('new').length, filesIn('tmp').length]).toEqual([0, 0]);
  });
});

it('syncs the folder less often than it delivers when many come at once', async () => {
  let syncs = 0;
  const mailbox = makeMailbox({
    ...nodeFileCalls,
    syncFolder: (path) => {
      if (path.endsWith('/new')) syncs++;
      return nodeFileCalls.syncFolder(path);
    },
  });
  await mailbox.deliver('alice', '00', HEAD, body('A: 1\r\n'));
  syncs = 0;
  await Promise.all(Array.from({ length: 40 }, (_, number) => mailbox.deliver('alice', `x${number}`, HEAD, body('A: 1\r\n'))));
  expect(filesIn('new')).toHaveLength(41);
  expect(syncs).toBeLessThan(40);
});

it('removes what a crash left in tmp after a day and a half, and nothing younger', async () => {
  await makeMailbox().deliver('alice', '01A', HEAD, body('A: 1\r\n'));
  const tmp = join(root, 'alice/Maildir/tmp');
  writeFileSync(join(tmp, 'old'), '');
  writeFileSync(join(tmp, 'young'), '');
  utimesSync(join(tmp, 'old'), Date.now() / 1000 - 37 * 3600, Date.now() / 1000 - 37 * 3600);
  await makeMailbox().deliver('alice', '01B', HEAD, body('A: 1\r\n'));
  expect(filesIn('tmp')).toEqual(['young']);
});
