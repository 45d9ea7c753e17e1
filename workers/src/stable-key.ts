/**
 * A secret of this installation that stays the same over restarts: `login.key` in the data folder, made by whoever needs
 * it first. Session threads ask for it when they start. From it come the salts that SCRAM shows for users who are none.
 */
import { randomBytes } from 'node:crypto';
import { linkSync, mkdirSync, readFileSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const KEY_BYTES = 32;

/**
 * @param data the data folder.
 * @throws Error with a text for the operator when the file cannot be made or read, or is no key.
 */
export function stableKeyOf(data: string): Uint8Array {
  const file = join(data, 'login.key');
  const own = `${file}.${randomBytes(6).toString('hex')}`;
  const there = readKey(file);
  if (there !== undefined) return there;
  mkdirSync(data, { recursive: true });
  writeFileSync(own, randomBytes(KEY_BYTES), { mode: 0o600, flag: 'wx', flush: true });
  try {
    // Threads and processes start at one time: the first link wins, and all read what it holds.
    linkSync(own, file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    unlinkSync(own);
  }
  const made = readKey(file);
  if (made === undefined) throw new Error(`${file} vanished while it was made`);
  return made;
}

function readKey(file: string): Uint8Array | undefined {
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  if (bytes.length !== KEY_BYTES) throw new Error(`${file} is not ${KEY_BYTES} bytes long: remove it, and a new one is made`);
  return bytes;
}
