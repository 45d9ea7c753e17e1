/**
 * Reads a message's bytes: the part in the log, then the part in a file of its own. Called by the store. Chunks are
 * valid until the next one is asked for. The checksum of the log part is compared before its last chunk is given away,
 * so a damaged message is never handed on whole. The segment is pinned meanwhile: its file is not used again.
 */
import { crc32 } from 'node:zlib';
import { StoreError } from '@posthorn/sdk';
import type { Bodies } from './bodies.ts';
import { type Entry, hasFile } from './entry.ts';
import { codeOf, storeFailure } from './failure.ts';
import { type FileOps, readFully } from './file-ops.ts';
import { HEAD_BYTES } from './record.ts';
import type { Segments } from './segments.ts';

const CHUNK_BYTES = 64 * 1024;

function damaged(entry: Entry, what: string): StoreError {
  return new StoreError('PH_STORE_DAMAGED', `message ${entry.id}: ${what}`);
}

/**
 * The part in the log.
 * @param fresh written a moment ago: it is read at once, from the system's cache
 * @param file the file of the other part, if any: open before the first chunk is given away
 */
async function* readLogPart(
  files: FileOps,
  segments: Segments,
  entry: Entry,
  fresh: boolean,
  file: Promise<number> | undefined,
): AsyncGenerator<Uint8Array, void> {
  const segment = segments.get(entry.segment);
  if (segment === undefined) throw damaged(entry, `segment ${entry.segment} is missing`);
  const start = entry.offset + HEAD_BYTES + entry.id.length + entry.envelope.length;
  const buffer = Buffer.allocUnsafe(Math.min(entry.bodyLength, CHUNK_BYTES));
  const { fd, done } = await segments.reader(segment);
  try {
    await file;
    let crc = 0;
    for (let at = 0; at < entry.bodyLength; at += CHUNK_BYTES) {
      const chunk = buffer.subarray(0, Math.min(CHUNK_BYTES, entry.bodyLength - at));
      const bytes = fresh ? files.readNow(fd, chunk, start + at) : await readFully(files, fd, chunk, start + at);
      if (bytes < chunk.length) throw damaged(entry, 'its bytes are cut off');
      crc = crc32(chunk, crc);
      if (at + chunk.length === entry.bodyLength && crc !== entry.bodyCrc) throw damaged(entry, 'its checksum is wrong');
      yield chunk;
    }
  } finally {
    done();
  }
}

function openFile(files: FileOps, bodies: Bodies, entry: Entry): Promise<number> {
  return files.openRead(bodies.path(entry.id)).catch((cause: unknown) => {
    if (codeOf(cause) === 'ENOENT') throw damaged(entry, 'its body file is missing');
    throw cause;
  });
}

async function* readFilePart(files: FileOps, fd: number, entry: Entry): AsyncGenerator<Uint8Array, void> {
  const buffer = Buffer.allocUnsafe(Math.min(entry.fileTo - entry.fileFrom, CHUNK_BYTES));
  for (let at = entry.fileFrom; at < entry.fileTo; at += CHUNK_BYTES) {
    const chunk = buffer.subarray(0, Math.min(CHUNK_BYTES, entry.fileTo - at));
    if ((await readFully(files, fd, chunk, at)) < chunk.length) throw damaged(entry, 'its body file is cut off');
    yield chunk;
  }
}

/** All bytes in order. @throws StoreError PH_STORE_DAMAGED or PH_STORE_FAILED */
export async function* readBody(
  files: FileOps,
  segments: Segments,
  bodies: Bodies,
  entry: Entry,
  fresh: boolean,
): AsyncGenerator<Uint8Array, void> {
  // Opened at the start, since it may be deleted with its message while the log part is read; not waited for, since the
  // segment has to be pinned in this turn.
  const file = hasFile(entry) ? openFile(files, bodies, entry) : undefined;
  // Whoever waits for it below gets the error; until then it is not one that nobody looks at.
  file?.catch(() => undefined);
  try {
    if (entry.bodyLength > 0) yield* readLogPart(files, segments, entry, fresh, file);
    if (file !== undefined) yield* readFilePart(files, await file, entry);
  } catch (cause) {
    throw storeFailure(`reading message ${entry.id}`, cause);
  } finally {
    await file?.then(
      (fd) => files.close(fd),
      () => undefined,
    );
  }
}
