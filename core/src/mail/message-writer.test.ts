import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { MessageWriter } from '../smtp/ports.ts';
import { clearSpool, createMessageMemory, type HeldMessage, type MessageMemoryOptions } from './message-writer.ts';
import { openMessage } from './placed-bytes.ts';
import { SharedSlabs } from './slab-pool.ts';
import { systemDisk } from './spool-file.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
let spool = '';
beforeAll(() => {
  spool = mkdtempSync(join(tmpdir(), 'posthorn-spool-'));
});
afterAll(() => rmSync(spool, { recursive: true }));

function memory(options: Partial<MessageMemoryOptions> = {}) {
  const slabs = new SharedSlabs();
  const made = createMessageMemory({
    threadIndex: 1,
    limitBytes: 16 * MIB,
    spillBytes: 64 * KIB,
    spoolDirectory: spool,
    onNewSlab: (id, bytes) => slabs.announce(id, bytes),
    ...options,
  });
  return { memory: made, slabs };
}

function message(sizeBytes: number): Uint8Array {
  const head = Buffer.from('Subject: one\r\nX-Two: b\r\n\r\n');
  const bytes = new Uint8Array(sizeBytes);
  for (let at = 0; at < sizeBytes; at += 1) bytes[at] = at < head.length ? head[at]! : (at * 7 + (at >> 8)) & 0xff;
  return bytes;
}

async function writeAll(writer: MessageWriter, bytes: Uint8Array, cuts: readonly number[]): Promise<void> {
  let from = 0;
  for (const cut of [...cuts, bytes.length]) {
    const to = Math.min(bytes.length, Math.max(from, cut));
    if (!writer.write(bytes, from, to)) await new Promise<void>((resolve) => writer.onDrain(resolve));
    from = to;
  }
}

async function gather(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const all: Buffer[] = [];
  for await (const chunk of chunks) all.push(Buffer.from(chunk));
  return Buffer.concat(all);
}

test('any cutting gives the same bytes, here and on a reading thread, in memory and on disk; nothing stays behind', async () => {
  const { memory: store, slabs } = memory();
  const sizes = fc.oneof(fc.integer({ min: 0, max: 70 * KIB }), fc.integer({ min: 60 * KIB, max: 900 * KIB }));
  await fc.assert(
    fc.asyncProperty(sizes, fc.array(fc.nat(900 * KIB), { maxLength: 40 }), async (size, cuts) => {
      const bytes = message(size);
      const writer = store.begin(undefined)!;
      await writeAll(
        writer,
        bytes,
        cuts.toSorted((a, b) => a - b),
      );
      const sealed = await writer.seal();
      expect(sealed.place.in).toBe(size > 64 * KIB ? 'file' : 'memory');
      const read = openMessage(structuredClone(sealed.place), slabs);
      for (const one of [sealed, read]) {
        expect(one.sizeBytes).toBe(size);
        expect((await gather(one.chunks())).equals(bytes)).toBe(true);
        expect(Buffer.from(one.header).toString()).toBe(Buffer.from(bytes.subarray(0, 26)).toString());
      }
      writer.drop();
      writer.drop();
    }),
    { numRuns: 60 },
  );
  expect(store.usedBytes).toBe(0);
  await expect.poll(() => readdirSync(spool)).toEqual([]);
});

test('a message in memory is sealed without a promise', () => {
  const writer = memory().memory.begin(4000)!;
  writer.write(message(4000), 0, 4000);
  const sealed = writer.seal();
  expect(sealed).not.toBeInstanceOf(Promise);
  writer.drop();
});

test('a header that does not end within the limit is kept as far as it goes', async () => {
  const { memory: store } = memory({ spillBytes: 512 * KIB });
  const writer = store.begin(undefined)!;
  const bytes = Buffer.from(`X: ${'y\r\n '.repeat(200 * KIB)}`);
  await writeAll(writer, bytes, [100, 400 * KIB]);
  const sealed = await writer.seal();
  expect(Buffer.from(sealed.header).equals(bytes.subarray(0, 256 * KIB))).toBe(true);
  writer.drop();
  expect(store.usedBytes).toBe(0);
});

test('a declared size reserves little, whatever it says', () => {
  const { memory: store } = memory({ spillBytes: MIB });
  store.begin(50 * MIB);
  expect(store.usedBytes).toBe(64 * KIB);
});

test('with no memory left begin refuses, and a message under way fails and gives its own back', () => {
  const lost: string[] = [];
  const { memory: store } = memory({ limitBytes: MIB, spillBytes: MIB, onFailure: (failure) => lost.push(failure) });
  const writer = store.begin(undefined)!;
  const bytes = message(600 * KIB);
  expect(writer.write(bytes, 0, bytes.length)).toBe(true);
  expect(writer.failure).toBe('memory');
  expect(writer.write(bytes, 0, bytes.length)).toBe(true);
  expect(writer.sizeBytes).toBe(1200 * KIB);
  expect(() => writer.seal()).toThrow('not kept');
  expect(store.usedBytes).toBe(0);
  expect(lost).toEqual(['memory']);
  const held: HeldMessage[] = [];
  for (let one = store.begin(0); one !== undefined; one = store.begin(0)) held.push(one);
  expect(held).toHaveLength(128);
});

test('a disk that is slow stops the feed instead of filling memory', async () => {
  let letGo: () => void = () => undefined;
  const slow = new Promise<void>((resolve) => (letGo = resolve));
  const disk = {
    ...systemDisk,
    open: ((...all: Parameters<typeof systemDisk.open>) =>
      void slow.then(() => systemDisk.open(...all))) as typeof systemDisk.open,
  };
  const { memory: store } = memory({ disk });
  const writer = store.begin(undefined)!;
  const bytes = message(2 * MIB);
  let at = 0;
  while (writer.write(bytes, at, at + 16 * KIB)) at += 16 * KIB;
  at += 16 * KIB;
  expect(at).toBeLessThan(MIB);
  const drained = new Promise<void>((resolve) => writer.onDrain(resolve));
  letGo();
  await drained;
  await writeAll(writer, bytes.subarray(at), []);
  const sealed = await writer.seal();
  expect((await gather(sealed.chunks())).equals(bytes)).toBe(true);
  writer.drop();
  expect(store.usedBytes).toBe(0);
});

type Callback = (error: Error | null, count?: number) => void;
for (const broken of ['open', 'write', 'close'] as const) {
  test(`a disk whose ${broken} fails loses the message, once, and keeps nothing`, async () => {
    const fail = (...all: unknown[]) => {
      const done = () => (all.at(-1) as Callback)(new Error('ENOSPC: no space left'));
      if (broken === 'close') systemDisk.close(all[0] as number, done);
      else setImmediate(done);
    };
    const causes: string[] = [];
    const { memory: store } = memory({ disk: { ...systemDisk, [broken]: fail }, onFailure: (_, cause) => causes.push(cause) });
    const writer = store.begin(undefined)!;
    await writeAll(writer, message(300 * KIB), [100 * KIB, 200 * KIB]);
    await expect((async () => writer.seal())()).rejects.toThrow('not kept: disk');
    expect(writer.failure).toBe('disk');
    expect(causes[0]).toContain('ENOSPC');
    expect(writer.write(message(100), 0, 100)).toBe(true);
    expect(store.usedBytes).toBe(0);
    await expect.poll(() => readdirSync(spool)).toEqual([]);
  });
}

test('a message dropped while its bytes are being written leaves neither blocks nor a file', async () => {
  const { memory: store } = memory();
  for (let round = 0; round < 20; round += 1) {
    const writer = store.begin(undefined)!;
    writer.write(message(200 * KIB), 0, 200 * KIB);
    if (round % 2 === 0) await new Promise((resolve) => setImmediate(resolve));
    writer.drop();
  }
  await expect.poll(() => store.usedBytes).toBe(0);
  await expect.poll(() => readdirSync(spool)).toEqual([]);
});

test('what a killed process left in the spool is removed, other files are not', async () => {
  writeFileSync(join(spool, '1-aa-1.spool'), 'x');
  writeFileSync(join(spool, 'README'), 'x');
  await clearSpool(spool);
  expect(readdirSync(spool)).toEqual(['README']);
  rmSync(join(spool, 'README'));
});
