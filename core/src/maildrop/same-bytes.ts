/** Whether two files of a mailbox are copies of one another. */
import { open } from 'node:fs/promises';
import { READ_ONLY } from './size-index.ts';

const CHUNK_BYTES = 64 * 1024;

/** @param sizeBytes of both. @throws when one of them cannot be read. */
export async function haveSameBytes(one: string, other: string, sizeBytes: number): Promise<boolean> {
  await using first = await open(one, READ_ONLY);
  await using second = await open(other, READ_ONLY);
  const firstBytes = Buffer.allocUnsafe(CHUNK_BYTES);
  const secondBytes = Buffer.allocUnsafe(CHUNK_BYTES);
  for (let at = 0; at < sizeBytes; at += CHUNK_BYTES) {
    const [a, b] = await Promise.all([first.read(firstBytes, 0, CHUNK_BYTES, at), second.read(secondBytes, 0, CHUNK_BYTES, at)]);
    if (!firstBytes.subarray(0, a.bytesRead).equals(secondBytes.subarray(0, b.bytesRead))) return false;
    if (a.bytesRead === 0) return false;
  }
  return true;
}
