/**
 * Every MIME oddity of the corpus beside the project, and a soup of what MIME is made of, converted for a hop that takes
 * 7-bit mail: Python's email package finds the same parts as before. Skips where the corpus or Python is not here.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { convert, survey } from '@posthorn/core/delivery/convert/convert';
import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { missing, program } from '../lib/peers/install.ts';
import { run, tempFolder } from '../lib/process.ts';
import { scriptPath } from './clients/client.ts';

const CORPUS = fileURLToPath(new URL('../../../shared/corpus/mime/mime-dev.tar.xz', import.meta.url));
const hasPython = missing(['python3']).length === 0;
const hasCorpus = hasPython && existsSync(CORPUS);
if (!hasPython) console.warn('SKIPPED: there is no python3');
else if (!hasCorpus) console.warn('SKIPPED: there is no MIME corpus beside the project');

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

/** Converts each, and has Python find the same parts before and after. @returns how many were refused */
async function compareAll(
  folder: string,
  messages: readonly { readonly name: string; readonly bytes: Buffer }[],
): Promise<number> {
  const [before, after] = [join(folder, 'before'), join(folder, 'after')];
  for (const path of [before, after]) mkdirSync(path);
  let refused = 0;
  for (const [index, { name, bytes }] of messages.entries()) {
    const result = await forSevenBit(bytes, 65_536);
    expect(await forSevenBit(bytes, 11), name).toEqual(result);
    if (typeof result === 'string') {
      expect(result, name).toMatch(/^554 5\.6\.[23] /);
      refused++;
      continue;
    }
    const lines = result.toString('latin1');
    expect(lines, name).not.toMatch(/[^\x01-\x7f]|\r(?!\n)|(?<!\r)\n/);
    const longest = (all: string): number => Math.max(...all.split('\r\n').map((line) => line.length));
    // A line of a header that is too long for itself is left to who wrote it.
    expect(longest(lines), name).toBeLessThanOrEqual(Math.max(998, longest(bytes.toString('latin1'))));
    writeFileSync(join(before, `${index}`), bytes);
    writeFileSync(join(after, `${index}`), result);
  }
  const partsIn = async (path: string): Promise<string[]> => {
    await run([program('python3'), scriptPath('parts'), path, `${path}.parts`]);
    return readFileSync(`${path}.parts`, 'utf8').split('\n');
  };
  const found = await partsIn(before);
  expect(await partsIn(after)).toEqual(found);
  expect(found.length + refused).toBe(messages.length);
  return refused;
}

it.skipIf(!hasCorpus)(
  'each message of the MIME corpus has the same parts after it was converted, or is refused',
  async () => {
    const folder = tempFolder('convert-corpus');
    const raw = join(folder.path, 'raw');
    mkdirSync(raw);
    await run(['tar', 'xJf', CORPUS, '-C', raw]);
    const files = readdirSync(raw, { recursive: true, encoding: 'utf8' }).filter((name) => statSync(join(raw, name)).isFile());
    const messages = files.map((name) => {
      const text = readFileSync(join(raw, name), 'latin1').replaceAll(/\r\n|\r|\n/g, '\r\n');
      return { name, bytes: Buffer.from(text, 'latin1') };
    });
    expect(await compareAll(folder.path, messages)).toBeLessThan(30);
    folder.remove();
  },
  120_000,
);

/** Delimiters that begin with each other, with and without their ends, headers that are none, everything in any order. */
const PIECES = [
  '\r\n',
  '\r\n\r\n',
  '--b\r\n',
  '--b--\r\n',
  '--bb\r\n',
  '--bb--\r\n',
  '\r\n--b\r\n',
  '\r\n--bb\r\n',
  '\r\n--b--\r\n',
  '--b \r\n',
  'Content-Type: multipart/mixed; boundary=b\r\n\r\n',
  'Content-Type: multipart/mixed; boundary="bb"\r\n\r\n',
  '--bc\r\n',
  'Content-Type: multipart/digest; boundary=bb\r\n\r\n',
  'Content-Type: message/rfc822\r\n\r\n',
  'Content-Type: text/plain\r\n',
  'Content-Type: application/x\r\n',
  'Content-Transfer-Encoding: base64\r\n',
  'Content-Transfer-Encoding: 8bit\r\n',
  '-- \r\n',
  'Content-Transfer-Encoding: quoted-printable\r\n',
  'Subject: x\r\n',
  'caf\xe9 hello there ',
  'text ',
  '=E9',
  'A: b\r\n',
  ' folded\r\n',
  '\xe9\r\n',
  'garbage line\r\n',
];
const HEADS = ['MIME-Version: 1.0\r\n', 'MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n'];
const soup = fc
  .tuple(fc.constantFrom(...HEADS), fc.array(fc.constantFrom(...PIECES), { minLength: 3, maxLength: 28, size: 'max' }))
  .map(([head, pieces]) => Buffer.from(`${head}${pieces.join('')}`.replace(/(?<!\r\n)$/, '\r\n'), 'latin1'));

it.skipIf(!hasPython)(
  'a soup of delimiters, headers and text has the same parts after it was converted, or is refused',
  async () => {
    const folder = tempFolder('convert-soup');
    const messages = fc.sample(soup, { seed: 6152, numRuns: 2000 }).map((bytes, index) => ({ name: `soup ${index}`, bytes }));
    expect(await compareAll(folder.path, messages)).toBeLessThan(1500);
    folder.remove();
  },
  120_000,
);
