import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openPlugin, startFakeClamd, type FakeClamd, type Script } from './fake-clamd.ts';
import { optionsSchema } from './options.ts';

const CLEAN: Script = (_, socket) => socket.end('stream: OK\0');

let folder: string;
const running: FakeClamd[] = [];
beforeEach(async () => void (folder = await mkdtemp(join(tmpdir(), 'clamav-'))));
afterEach(async () => {
  for (const clamd of running.splice(0)) await clamd.close();
  await rm(folder, { recursive: true });
});
async function start(script: Script, path?: string): Promise<FakeClamd> {
  const clamd = await startFakeClamd(script, path);
  running.push(clamd);
  return clamd;
}

describe('clamav', () => {
  test.each(['tcp', 'unix'])('a clean message passes, and clamd saw all of its bytes (%s)', async (kind) => {
    const digests: string[] = [];
    const digest = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
    const script: Script = (message, socket) => {
      digests.push(digest(message));
      CLEAN(message, socket);
    };
    const clamd = await start(script, kind === 'unix' ? join(folder, 'clamd') : undefined);
    const { ask } = await openPlugin({ address: clamd.address });
    // Without line feeds, which the kit would make CRLF.
    const content = randomBytes(1_500_000).map((byte) => (byte === 10 ? 11 : byte));
    expect(await ask(content)).toBeUndefined();
    expect(await ask('')).toBeUndefined();
    expect(digests).toEqual([digest(content), digest(Buffer.alloc(0))]);
  });
  test('a message with a virus is rejected with the name of it', async () => {
    const clamd = await start((_, socket) => socket.end('stream: Win.Test.EICAR_HDB-1 FOUND\0'));
    const { ask } = await openPlugin({ address: clamd.address });
    expect(await ask('x')).toEqual({ kind: 'reject', code: 550, enhanced: '5.7.1', text: 'Virus found: Win.Test.EICAR_HDB-1' });
  });
  test('or quarantined, when the operator says so', async () => {
    const clamd = await start((_, socket) => socket.end('stream: Test FOUND\0'));
    const { ask } = await openPlugin({ address: clamd.address, found: 'quarantine' });
    expect(await ask('x')).toEqual({ kind: 'quarantine', reason: 'virus Test' });
  });
  test('a name with line ends and other characters cannot break the reply', async () => {
    const clamd = await start((_, socket) => socket.end('stream: A\tB<é>{x} FOUND\0'));
    const { ask } = await openPlugin({ address: clamd.address });
    expect(await ask('x')).toMatchObject({ text: 'Virus found: A?B?x?' });
  });
  test('an answer in pieces is put together', async () => {
    const clamd = await start((_, socket) => {
      socket.write('stream: Te');
      socket.write('st FOU');
      socket.end('ND\0');
    });
    const { ask } = await openPlugin({ address: clamd.address });
    expect(await ask('x')).toMatchObject({ kind: 'reject' });
  });
});

describe('large messages', () => {
  test('above maxScanBytes clamd is not asked: they pass, or are deferred', async () => {
    const clamd = await start(CLEAN);
    const skipping = await openPlugin({ address: clamd.address, maxScanBytes: 2000 });
    expect(await skipping.ask('x'.repeat(2001))).toBeUndefined();
    const deferring = await openPlugin({ address: clamd.address, maxScanBytes: 2000, oversize: 'defer' });
    expect(await deferring.ask('x'.repeat(2001))).toMatchObject({ kind: 'defer', code: 451, enhanced: '4.3.4' });
    expect(clamd.connections).toBe(0);
    expect(await deferring.ask('x'.repeat(2000))).toBeUndefined();
  });
  test('clamd’s own limit, told and hung up on in the middle of the message, counts as the same', async () => {
    const clamd = await start(() => undefined);
    clamd.onConnect = (socket) => socket.once('data', () => socket.end('INSTREAM size limit exceeded. ERROR\0'));
    const { ask } = await openPlugin({ address: clamd.address, oversize: 'defer' });
    expect(await ask(randomBytes(8_000_000))).toMatchObject({ kind: 'defer' });
  });
});

describe('a clamd that fails', () => {
  test.each([
    ['UNKNOWN COMMAND\0'],
    ['stream: Some file ERROR\0'],
    ['\0'],
    ['stream: OK FOUND maybe\0'],
    ['x'.repeat(100_000)],
    [''],
  ])('answers %j: the hook throws', async (answer) => {
    const clamd = await start((_, socket) => socket.end(answer));
    const { ask } = await openPlugin({ address: clamd.address });
    await expect(ask('x')).rejects.toThrow('threw: ClamdError');
  });
  test('resets the connection: the hook throws', async () => {
    const clamd = await start((_, socket) => socket.resetAndDestroy());
    const { ask } = await openPlugin({ address: clamd.address });
    await expect(ask('x')).rejects.toThrow('threw: ClamdError');
  });
  test('is not there: the hook throws at once', async () => {
    const { ask } = await openPlugin({ address: `unix:${join(folder, 'nothing')}` });
    const startMs = performance.now();
    await expect(ask('x')).rejects.toThrow(/ENOENT/);
    expect(performance.now() - startMs).toBeLessThan(500);
  });
  test('never answers: the hook throws when its time is over', async () => {
    const clamd = await start(() => undefined);
    const { ask } = await openPlugin({ address: clamd.address, timeoutMs: 150 });
    await expect(ask('x')).rejects.toThrow('no answer in time');
  });
  test('takes no bytes: the hook throws when its time is over', async () => {
    const clamd = await start(() => undefined);
    clamd.onConnect = (socket) => socket.pause();
    const { ask } = await openPlugin({ address: clamd.address, timeoutMs: 150 });
    await expect(ask(randomBytes(20_000_000))).rejects.toThrow('no answer in time');
  });
  test('after three failures is left alone for a while, then tried once, then used again', async () => {
    const clamd = await start((_, socket) => socket.end());
    const { ask, clock } = await openPlugin({ address: clamd.address, retryAfterMs: 5000 });
    for (let i = 0; i < 3; i++) await expect(ask('x')).rejects.toThrow('closed without an answer');
    await expect(ask('x')).rejects.toThrow('left alone');
    expect(clamd.connections).toBe(3);
    clock.advance(5001);
    const both = await Promise.allSettled([ask('x'), ask('x')]);
    expect(both.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    expect(clamd.connections).toBe(4);
    clamd.script = CLEAN;
    clock.advance(5001);
    expect(await ask('x')).toBeUndefined();
    expect(await Promise.all([ask('x'), ask('x')])).toEqual([undefined, undefined]);
  });
});

describe('maxConnections', () => {
  test('bounds the scans at a time; the others wait for their turn', async () => {
    const held: (() => void)[] = [];
    const arrived = Promise.withResolvers<void>();
    const clamd = await start((message, socket) => {
      held.push(() => CLEAN(message, socket));
      if (held.length === 3) arrived.resolve();
    });
    const { ask } = await openPlugin({ address: clamd.address, maxConnections: 3 });
    const asked = Promise.all(Array.from({ length: 10 }, () => ask('x')));
    await arrived.promise;
    expect(clamd.connections).toBe(3);
    clamd.script = CLEAN;
    for (const go of held) go();
    await asked;
    expect(clamd.connections).toBe(10);
    expect(clamd.mostAtATime).toBeLessThanOrEqual(6);
  });
  test('a call whose turn does not come in time throws', async () => {
    const clamd = await start(() => undefined);
    const { ask } = await openPlugin({ address: clamd.address, maxConnections: 1, timeoutMs: 150 });
    const results = await Promise.allSettled([ask('x'), ask('x')]);
    expect(results.map((one) => (one.status === 'rejected' ? String(one.reason) : ''))).toEqual([
      expect.stringContaining('no answer in time'),
      expect.stringMatching(/no free connection in time|no answer in time/),
    ]);
  });
});

describe('options', () => {
  test.each([
    ['unix:/run/clamd', { path: '/run/clamd' }],
    ['tcp://127.0.0.1:3310', { host: '127.0.0.1', port: 3310 }],
    ['tcp://[::1]:3310', { host: '::1', port: 3310 }],
  ])('address %s', (address, expected) => {
    expect(optionsSchema.parse({ address }).address).toEqual(expected);
  });
  test.each(['localhost:3310', 'unix:relative', 'tcp://host', 'tcp://host:99999', 'http://host:1'])(
    'address %s is refused',
    (address) => {
      expect(() => optionsSchema.parse({ address })).toThrow(/expected/);
    },
  );
});
