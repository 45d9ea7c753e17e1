/**
 * Lists the messages of one Maildir: new/ and cur/, by name alone where the names tell the sizes. Used by the opener
 * under the maildrop's lock. Other programs may add, rename and remove files meanwhile: a file seen twice is one
 * message, one that vanished while it was counted is none. What cannot be read (a folder, a file of another user) is left
 * out and told to `skipped`: it must not keep its owner from all other mail, and neither must a full disk.
 */
import { readdirSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import type { DropMessage } from '../pop3/ports.ts';
import { isAbsent } from './absent.ts';
import { parseMessageName, uidlOf, type MessageName } from './file-name.ts';
import { stampOf, type FolderStamp } from './folder-stamp.ts';
import { measureFile, readSizeIndex, writeSizeIndex, type MessageSizes, type Skipped } from './size-index.ts';

export type MessageFolder = 'new' | 'cur';

/** A message and where it was when it was listed. */
export interface ListedMessage extends DropMessage {
  readonly folder: MessageFolder;
  /** File name with flags. */
  readonly name: string;
  /** Bytes in the file; the same as `sizeBytes` when its lines end in CRLF. */
  readonly fileBytes: number;
}

export interface FoundFile {
  readonly folder: MessageFolder;
  readonly name: string;
  readonly parsed: MessageName;
}

/** A folder below this many bytes is read at once: that takes less time than asking another thread to do it. */
const SMALL_FOLDER_BYTES = 16 * 1024;
const MAX_RESCANS = 2;
/** Between two turns of the loop, each a few milliseconds: other sessions of the thread go on while 100,000 are listed. */
const NAMES_PER_TURN = 4096;
const FILES_PER_TURN = 64;

/**
 * @param before stamps of new/ and cur/, taken before the call.
 * @returns messages in the order of their names, so in the order of their arrival; at once when no waiting is needed.
 * @throws when a folder cannot be read.
 */
export function listMessages(
  maildir: string,
  before: readonly [FolderStamp, FolderStamp],
  skipped: Skipped,
): readonly ListedMessage[] | Promise<readonly ListedMessage[]> {
  if (before[0].bytes > SMALL_FOLDER_BYTES || before[1].bytes > SMALL_FOLDER_BYTES) return listLarge(maildir, before[1], skipped);
  // New first: a message that another program moves to cur/ meanwhile is seen twice rather than not at all.
  const files = unite(readOrNone(join(maildir, 'new')), readOrNone(join(maildir, 'cur')));
  return sized(files) ?? countSizes(maildir, files, skipped);
}

async function listLarge(maildir: string, curBefore: FolderStamp, skipped: Skipped): Promise<readonly ListedMessage[]> {
  const cur = join(maildir, 'cur');
  for (let rescans = 0, stamp = curBefore; ; rescans++) {
    const files = await uniteMany(await readdirOrNone(join(maildir, 'new')), await readdirOrNone(cur));
    const after = stampOf(cur);
    // A name that changed in cur/ during the reading may have been missed: a client would think the message is gone.
    if (after.mtimeNs === stamp.mtimeNs || rescans === MAX_RESCANS) return countSizes(maildir, files, skipped);
    stamp = after;
  }
}

export function unite(inNew: readonly string[], inCur: readonly string[]): FoundFile[] {
  const files = new Map<string, FoundFile>();
  for (const name of inNew) add(files, 'new', name);
  for (const name of inCur) add(files, 'cur', name);
  return [...files.keys()].sort().map((base) => files.get(base)!);
}

/** As `unite`, in turns. */
async function uniteMany(inNew: readonly string[], inCur: readonly string[]): Promise<FoundFile[]> {
  const files = new Map<string, FoundFile>();
  for (const [folder, names] of [
    ['new', inNew],
    ['cur', inCur],
  ] as const) {
    for (let from = 0; from < names.length; from += NAMES_PER_TURN) {
      for (const name of names.slice(from, from + NAMES_PER_TURN)) add(files, folder, name);
      await setImmediate();
    }
  }
  const bases = [...files.keys()];
  const sorted: string[] = [];
  for (let from = 0; from < bases.length; from += NAMES_PER_TURN) {
    for (const base of bases.slice(from, from + NAMES_PER_TURN).sort()) sorted.push(base);
    await setImmediate();
  }
  // Sorted runs are only merged by this: a quarter of the work, which has to be done in one turn.
  return sorted.sort().map((base) => files.get(base)!);
}

function add(files: Map<string, FoundFile>, folder: MessageFolder, name: string): void {
  if (name.charCodeAt(0) === 46) return;
  const parsed = parseMessageName(name);
  files.set(parsed.base, { folder, name, parsed });
}

/** The listing, or undefined when a size has to be looked up. */
function sized(files: readonly FoundFile[]): ListedMessage[] | undefined {
  const messages: ListedMessage[] = [];
  const uidls = new Set<string>();
  for (const file of files) {
    const { fileBytes, wireBytes, surrogateBytes } = file.parsed;
    if (fileBytes === undefined || wireBytes === undefined) return undefined;
    messages.push(listed(file, { fileBytes, wireBytes, surrogateBytes }, uidls));
  }
  return messages;
}

async function countSizes(maildir: string, files: readonly FoundFile[], skipped: Skipped): Promise<ListedMessage[]> {
  let known: ReadonlyMap<string, MessageSizes> | undefined;
  const kept = new Map<string, MessageSizes>();
  const messages: ListedMessage[] = [];
  const uidls = new Set<string>();
  let counted = 0;
  for (const [at, file] of files.entries()) {
    if (at % NAMES_PER_TURN === NAMES_PER_TURN - 1) await setImmediate();
    const { base, fileBytes, wireBytes, surrogateBytes } = file.parsed;
    if (fileBytes !== undefined && wireBytes !== undefined) {
      messages.push(listed(file, { fileBytes, wireBytes, surrogateBytes }, uidls));
      continue;
    }
    known ??= await readSizeIndex(maildir, skipped);
    let sizes = known.get(base);
    if (sizes === undefined) {
      if (counted % FILES_PER_TURN === FILES_PER_TURN - 1) await setImmediate();
      const measured = measure(`${maildir}/${file.folder}/${file.name}`, skipped);
      sizes = measured instanceof Promise ? await measured : measured;
      if (sizes === undefined) continue;
      counted++;
    }
    kept.set(base, sizes);
    messages.push(listed(file, sizes, uidls));
  }
  if (counted > 0 || (known !== undefined && kept.size < known.size)) await writeSizeIndex(maildir, kept, skipped);
  return messages;
}

function measure(path: string, skipped: Skipped): MessageSizes | undefined | Promise<MessageSizes | undefined> {
  const failed = (error: unknown) => {
    skipped(path, error);
    return undefined;
  };
  try {
    const sizes = measureFile(path);
    return sizes instanceof Promise ? sizes.catch(failed) : sizes;
  } catch (error) {
    return failed(error);
  }
}

export function listed(
  file: FoundFile,
  { fileBytes, wireBytes, surrogateBytes }: MessageSizes,
  uidls: Set<string>,
): ListedMessage {
  let uidl = uidlOf(file.parsed.unique);
  // Two files that differ only in the sizes they claim are two messages; RFC 1939 §7 wants two UIDLs.
  if (uidls.has(uidl)) uidl = uidlOf(`${file.parsed.base}\n`);
  uidls.add(uidl);
  const message = { folder: file.folder, name: file.name, uidl, fileBytes, sizeBytes: wireBytes };
  return surrogateBytes === undefined ? message : { ...message, surrogateBytes };
}

/** Names in a folder; none when there is no such folder. */
export function readOrNone(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    return noneWhenAbsent(error);
  }
}

async function readdirOrNone(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    return noneWhenAbsent(error);
  }
}

/** A mailbox that never got a message has no folder yet. */
function noneWhenAbsent(error: unknown): string[] {
  if (isAbsent(error)) return [];
  throw error;
}
