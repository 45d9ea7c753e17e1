/**
 * Every MIME oddity of the corpus beside the project, converted for a hop that takes 7-bit mail: Python's email package
 * finds the same parts in it as before. Skips where the corpus or Python is not here.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { convert, survey } from '@posthorn/core/delivery/convert/convert';
import { expect, it } from 'vitest';
import { missing, program } from '../lib/peers/install.ts';
import { run, tempFolder } from '../lib/process.ts';
import { scriptPath } from './clients.ts';

const CORPUS = fileURLToPath(new URL('../../../shared/corpus/mime/mime-dev.tar.xz', import.meta.url));
const isHere = existsSync(CORPUS) && missing(['python3']).length === 0;
if (!isHere) console.warn('SKIPPED: there is no MIME corpus beside the project, or no python3');

async function* inChunks(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield Uint8Array.from(bytes.subarray(at, at + size));
}

/** @returns the message for a 7-bit hop, or the reply that refuses it */
async function forSevenBit(bytes: Buffer, chunk: number): Promise<Buffer | string> {
  const plan = await survey(inChunks(bytes, chunk), '7bit', false);
  if (typeof plan === 'string') return plan;
  const pieces: Uint8Array[] = [];
  for await (const piece of convert(inChunks(bytes, chunk), plan)) pieces.push(piece);
  return Buffer.concat(pieces);
}

it.skipIf(!isHere)(
  'each message of the MIME corpus has the same parts after it was converted, or is refused',
  async () => {
    const folder = tempFolder('convert-corpus');
    const [raw, before, after] = ['raw', 'before', 'after'].map((name) => join(folder.path, name)) as [string, string, string];
    for (const path of [raw, before, after]) mkdirSync(path);
    await run(['tar', 'xJf', CORPUS, '-C', raw]);
    const files = readdirSync(raw, { recursive: true, encoding: 'utf8' }).filter((name) => statSync(join(raw, name)).isFile());
    let refused = 0;
    for (const [index, file] of files.entries()) {
      const text = readFileSync(join(raw, file), 'latin1').replaceAll(/\r\n|\r|\n/g, '\r\n');
      const bytes = Buffer.from(text, 'latin1');
      const result = await forSevenBit(bytes, 65_536);
      expect(await forSevenBit(bytes, 11), file).toEqual(result);
      if (typeof result === 'string') {
        expect(result, file).toMatch(/^554 5\.6\.[23] /);
        refused++;
        continue;
      }
      const lines = result.toString('latin1');
      expect(lines, file).not.toMatch(/[^\x01-\x7f]|\r(?!\n)|(?<!\r)\n/);
      const longest = (all: string): number => Math.max(...all.split('\r\n').map((line) => line.length));
      // A line of a header that is too long for itself is left to who wrote it.
      expect(longest(lines), file).toBeLessThanOrEqual(Math.max(998, longest(text)));
      writeFileSync(join(before, `${index}`), bytes);
      writeFileSync(join(after, `${index}`), result);
    }
    const partsIn = async (path: string): Promise<string[]> => {
      await run([program('python3'), scriptPath('parts'), path, `${path}.parts`]);
      return readFileSync(`${path}.parts`, 'utf8').split('\n');
    };
    const found = await partsIn(before);
    expect(await partsIn(after)).toEqual(found);
    expect(found.length + refused).toBe(files.length);
    expect(found.length).toBeGreaterThan(880);
    folder.remove();
  },
  120_000,
);
