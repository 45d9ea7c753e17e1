/**
 * What lies in a Maildir, for who looks from outside while the server works with it: takes no lock and writes nothing.
 * The numbers, UIDLs and sizes are those that the next POP3 session would see.
 */
import type { FileHandle } from 'node:fs/promises';
import { type FoundFile, type ListedMessage, listed } from './listing.ts';
import type { MessageSizes, Skipped } from './size-index.ts';
import { SurrogateSize } from './surrogate-size.ts';
import type { Whereabouts } from './whereabouts.ts';
import { CrlfStream } from './wire-form.ts';

const CHUNK_BYTES = 64 * 1024;

/**
 * All messages in the order of their numbers.
 * @param skipped told of what cannot be read, which POP3 leaves out, too.
 * @throws when a folder cannot be read; one that is not there is empty.
 */
export async function* surveyMaildir(places: Whereabouts, skipped: Skipped): AsyncGenerator<ListedMessage> {
  const uidls = new Set<string>();
  for (const file of await places.all()) {
    const sizes = await sizesOf(places, file, skipped);
    if (sizes !== undefined) yield listed(file, sizes, uidls);
  }
}

async function sizesOf(places: Whereabouts, found: FoundFile, skipped: Skipped): Promise<MessageSizes | undefined> {
  const { fileBytes, wireBytes, surrogateBytes } = found.parsed;
  if (fileBytes !== undefined && wireBytes !== undefined) return { fileBytes, wireBytes, surrogateBytes };
  try {
    const opened = await places.open(found);
    return opened === undefined ? undefined : await measure(opened.file);
  } catch (error) {
    skipped(places.pathOf(found), error);
    return undefined;
  }
}

async function measure(file: FileHandle): Promise<MessageSizes> {
  try {
    const surrogate = new SurrogateSize();
    let wireBytes = 0;
    for await (const chunk of wireBytesOf(file)) {
      wireBytes += chunk.length;
      surrogate.push(chunk);
    }
    return { fileBytes: (await file.stat()).size, wireBytes, surrogateBytes: surrogate.of(wireBytes) };
  } finally {
    await file.close();
  }
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
