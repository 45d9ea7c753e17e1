/**
 * Messages to learn from, out of what an operator points at: message files, mbox files, Maildirs, and folders of any of
 * them. Called by `train`. Never holds more than the looked-at part of one message; symbolic links to folders are not
 * followed, so that no loop of links can hold a training up. A path that cannot be read is the caller's error.
 */
import type { Dirent } from 'node:fs';
import { lstat, open, readdir, stat, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';

const CHUNK_BYTES = 256 * 1024;
const FROM_LINE = Buffer.from('From ');
const LF = 0x0a;
const CR = 0x0d;

/** The first bytes of a message and where it was found. */
export interface Source {
  readonly path: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/**
 * All messages under a path, in order of name.
 * @param maxBytes of each message, the rest is not read.
 * @throws the system's errors: ENOENT, EACCES.
 */
export async function* messagesUnder(path: string, maxBytes: number): AsyncGenerator<Source> {
  if ((await stat(path)).isDirectory()) yield* messagesInFolder(path, maxBytes);
  else yield* messagesInFile(path, maxBytes);
}

async function* messagesInFolder(folder: string, maxBytes: number): AsyncGenerator<Source> {
  const entries = (await readdir(folder, { withFileTypes: true })).sort((a, b) => (a.name < b.name ? -1 : 1));
  const has = (name: string): boolean => entries.some((entry) => entry.name === name && entry.isDirectory());
  const isMaildir = has('cur') && has('new');
  for (const entry of entries) {
    // Beside cur and new, a Maildir holds half-written mail (tmp), lists and indexes, and folders whose names start with a dot.
    if (isMaildir && !isMaildirPart(entry)) continue;
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* messagesInFolder(path, maxBytes);
    else if (entry.isFile() || (entry.isSymbolicLink() && (await isFileBehind(path)))) yield* messagesInFile(path, maxBytes);
  }
}

function isMaildirPart(entry: Dirent): boolean {
  return entry.isDirectory() && (entry.name === 'cur' || entry.name === 'new' || entry.name.startsWith('.'));
}

async function isFileBehind(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isFile();
  } catch {
    // A link to nothing is nothing to learn from; `lstat` throws when the folder itself went away meanwhile.
    await lstat(path);
    return false;
  }
}

async function* messagesInFile(path: string, maxBytes: number): AsyncGenerator<Source> {
  await using file = await open(path, 'r');
  const start = Buffer.alloc(FROM_LINE.length);
  const { bytesRead } = await file.read(start, 0, start.length, 0);
  if (bytesRead === start.length && start.equals(FROM_LINE)) {
    yield* messagesInMbox(path, file, maxBytes);
    return;
  }
  const bytes = new Uint8Array(Math.min(maxBytes, (await file.stat()).size));
  let length = 0;
  while (length < bytes.length) {
    const read = await file.read(bytes, length, bytes.length - length, length);
    if (read.bytesRead === 0) break;
    length += read.bytesRead;
  }
  if (length > 0) yield { path, bytes: bytes.subarray(0, length) };
}

/**
 * Cuts an mbox at its "From " lines, those after an empty line. Quoted ones (">From ") stay quoted: the tokens are the same.
 */
async function* messagesInMbox(path: string, file: FileHandle, maxBytes: number): AsyncGenerator<Source> {
  const message = Buffer.alloc(maxBytes);
  let length = 0;
  let lineStart = true;
  let afterEmpty = true;
  let inFromLine = false;
  let held: Buffer = Buffer.alloc(0);
  const take = (piece: Buffer): void => {
    length += piece.copy(message, length);
  };
  for await (const chunk of file.createReadStream({
    highWaterMark: CHUNK_BYTES,
    start: 0,
    autoClose: false,
  }) as AsyncIterable<Buffer>) {
    const data = held.length > 0 ? Buffer.concat([held, chunk]) : chunk;
    held = Buffer.alloc(0);
    let at = 0;
    while (at < data.length) {
      if (lineStart && data.length - at < FROM_LINE.length && data.indexOf(LF, at) < 0) {
        // Too little of the line to know: it waits for the next chunk.
        held = Buffer.from(data.subarray(at));
        break;
      }
      if (lineStart && afterEmpty && data.subarray(at, at + FROM_LINE.length).equals(FROM_LINE)) {
        if (length > 0) yield { path, bytes: new Uint8Array(message.subarray(0, length)) };
        length = 0;
        inFromLine = true;
      }
      const end = data.indexOf(LF, at);
      const next = end < 0 ? data.length : end + 1;
      if (!inFromLine) take(data.subarray(at, next));
      afterEmpty = lineStart && (end === at || (end === at + 1 && data[at] === CR));
      lineStart = end >= 0;
      if (lineStart) inFromLine = false;
      at = next;
    }
  }
  take(held);
  if (length > 0) yield { path, bytes: new Uint8Array(message.subarray(0, length)) };
}
