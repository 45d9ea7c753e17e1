/**
 * What lies in a Maildir, for who looks from outside while the server works with it: takes no lock and writes nothing.
 * The numbers, UIDLs and sizes are those that the next POP3 session would see.
 */
import { type FileHandle, open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { isAbsent, unlessAbsent } from './absent.ts';
import { parseMessageName } from './file-name.ts';
import { type FoundFile, type ListedMessage, listed, unite } from './listing.ts';
import { measureFile, READ_ONLY, type Skipped } from './size-index.ts';
import { CrlfStream } from './wire-form.ts';

const CHUNK_BYTES = 64 * 1024;

/**
 * All messages in the order of their numbers.
 * @param skipped told of what cannot be read, which POP3 leaves out, too.
 * @throws when a folder cannot be read; one that is not there is empty.
 */
export async function* surveyMaildir(maildir: string, skipped: Skipped): AsyncGenerator<ListedMessage> {
  const uidls = new Set<string>();
  for (const file of unite(
    await unlessAbsent(readdir(join(maildir, 'new')), []),
    await unlessAbsent(readdir(join(maildir, 'cur')), []),
  )) {
    const sizes = await sizesOf(maildir, file, skipped);
    if (sizes !== undefined) yield listed(file, sizes, uidls);
  }
}

async function sizesOf(maildir: string, { folder, name, parsed }: FoundFile, skipped: Skipped) {
  const { fileBytes, wireBytes, surrogateBytes } = parsed;
  if (fileBytes !== undefined && wireBytes !== undefined) return { fileBytes, wireBytes, surrogateBytes };
  const path = join(maildir, folder, name);
  try {
    return await measureFile(path);
  } catch (error) {
    skipped(path, error);
    return undefined;
  }
}

/**
 * Opens a message, also when another program moved it or changed its flags after it was listed.
 * @returns undefined when it is gone. @throws when it cannot be read, or is no file.
 */
export async function openMessage(maildir: string, { folder, name }: ListedMessage): Promise<FileHandle | undefined> {
  const file = (await openOrNone(join(maildir, folder, name))) ?? (await openMoved(maildir, name));
  if (file === undefined || (await file.stat()).isFile()) return file;
  await file.close();
  throw new Error('no regular file');
}

/** The bytes of an open message with CRLF line ends; each chunk is good until the next one. */
export async function* wireBytesOf(file: FileHandle): AsyncGenerator<Uint8Array> {
  const lines = new CrlfStream();
  const buffer = Buffer.allocUnsafe(CHUNK_BYTES);
  for (;;) {
    const { bytesRead } = await file.read(buffer, 0, CHUNK_BYTES, null);
    if (bytesRead === 0) break;
    yield lines.push(buffer.subarray(0, bytesRead));
  }
  yield lines.end();
}

async function openMoved(maildir: string, name: string): Promise<FileHandle | undefined> {
  const { base } = parseMessageName(name);
  for (const folder of ['cur', 'new']) {
    const now = (await unlessAbsent(readdir(join(maildir, folder)), [])).find((found) => parseMessageName(found).base === base);
    if (now !== undefined) return openOrNone(join(maildir, folder, now));
  }
  return undefined;
}

async function openOrNone(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, READ_ONLY);
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw error;
  }
}
