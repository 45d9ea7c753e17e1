import { expect, it } from 'vitest';
import { readPassword } from './common.ts';

async function* pieces(...given: (string | number[])[]): AsyncIterable<Buffer> {
  for (const piece of given) yield typeof piece === 'string' ? Buffer.from(piece) : Buffer.from(piece);
}

it('a password is the first line, however it comes in', async () => {
  expect(await readPassword(pieces('päss', 'wörd \r', '\nmore'))).toBe('pässwörd ');
  expect(await readPassword(pieces([0x70, 0xc3], [0xa4], '\n', [0xff]))).toBe('pä');
});

it('what is no password is refused, and not changed into one', async () => {
  await expect(readPassword(pieces('\n'))).rejects.toThrow('no password came');
  await expect(readPassword(pieces([0x70, 0xe4, 0x0a]))).rejects.toThrow('not UTF-8');
  await expect(readPassword(pieces('x'.repeat(5000)))).rejects.toThrow('too long');
});
