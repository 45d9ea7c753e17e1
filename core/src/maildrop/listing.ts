/**
 * Lists the messages of one Maildir: new/ and cur/, by name alone where the names tell the sizes. Used by the opener
 * under the maildrop's lock. Other programs may add, rename and remove files meanwhile: a file seen twice is one
 * message, and one that is there all the time is listed whatever names it has. What cannot be read (a folder, a file of
 * another user) is left out and told to `skipped`: it must not keep its owner from all other mail, and neither must a full
 * disk.
 */
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import type { DropMessage } from '../pop3/ports.ts';
import { uidlOf } from './file-name.ts';
import { stampOf, stayed, type FolderStamp } from './folder-stamp.ts';
import { inOrder, NAMES_PER_TURN, unite, type FoundFile, type MessageFolder } from './found-files.ts';
import { findFiles, MAX_SCANS, readOrNone, scan } from './scan.ts';
import { measureFile, readSizeIndex, writeSizeIndex, type MessageSizes, type Skipped } from './size-index.ts';
import { needsLook, settleNames } from './twins.ts';

export { unite, type FoundFile, type MessageFolder } from './found-files.ts';

/** A message and where it was when it was listed. */
export interface ListedMessage extends DropMessage {
  readonly folder: MessageFolder;
  /** File name with flags. */
  readonly name: string;
  /** Bytes in the file; the same as `sizeBytes` when its lines end in CRLF. */
  readonly fileBytes: number;
  /** Where the same file has another name. */
  readonly alias?: Pick<FoundFile, 'folder' | 'name'>;
}

/** A folder below this many bytes is read at once: that takes less time than asking another thread to do it. */
const SMALL_FOLDER_BYTES = 16 * 1024;
const FILES_PER_TURN = 64;

/**
 * @param before stamps of new/ and cur/, taken before the call.
 * @param now the system's clock, in milliseconds.
 * @returns messages in the order of their names, so in the order of their arrival; at once when no waiting is needed.
 * @throws when a folder cannot be read.
 */
export function listMessages(
  maildir: string,
  before: readonly [FolderStamp, FolderStamp],
  now: () => number,
  skipped: Skipped,
): readonly ListedMessage[] | Promise<readonly ListedMessage[]> {
  if (before[0].bytes > SMALL_FOLDER_BYTES || before[1].bytes > SMALL_FOLDER_BYTES) return listLarge(maildir, now, skipped);
  const startedAtMs = now();
  // New first: a message that another program moves to cur/ meanwhile is seen twice rather than not at all.
  const files = unite(readOrNone(join(maildir, 'new')), readOrNone(join(maildir, 'cur')));
  if (files.some(needsLook) || !stayed(before[1], stampOf(join(maildir, 'cur')), startedAtMs))
    return listLarge(maildir, now, skipped);
  return sized(files) ?? countSizes(maildir, files, skipped);
}

async function listLarge(maildir: string, now: () => number, skipped: Skipped): Promise<readonly ListedMessage[]> {
  const found = await findFiles(maildir, now);
  const files = await inOrder(found);
  if (!files.some(needsLook)) return countSizes(maildir, files, skipped);
  await settleNames(maildir, found, skipped);
  return countSizes(maildir, await inOrder(found), skipped);
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

async function countSizes(maildir: string, files: FoundFile[], skipped: Skipped): Promise<ListedMessage[]> {
  let known: ReadonlyMap<string, MessageSizes> | undefined;
  const kept = new Map<string, MessageSizes>();
  const sizes: (MessageSizes | undefined)[] = [];
  const moved: number[] = [];
  let looked = 0;
  let counted = 0;
  for (const [at, file] of files.entries()) {
    if (at % NAMES_PER_TURN === NAMES_PER_TURN - 1) await setImmediate();
    const { base, fileBytes, wireBytes, surrogateBytes } = file.parsed;
    if (fileBytes !== undefined && wireBytes !== undefined) {
      sizes.push({ fileBytes, wireBytes, surrogateBytes });
      continue;
    }
    known ??= await readSizeIndex(maildir, skipped);
    let found = known.get(base);
    if (found === undefined) {
      if (looked % FILES_PER_TURN === FILES_PER_TURN - 1) await setImmediate();
      const measured = measure(maildir, file, skipped);
      const outcome = measured instanceof Promise ? await measured : measured;
      looked++;
      if (outcome === undefined) moved.push(at);
      else if (outcome !== 'skipped') {
        found = outcome;
        counted++;
      }
    }
    sizes.push(found);
    if (found !== undefined) kept.set(base, found);
  }
  await countMoved(maildir, files, sizes, moved, skipped);
  for (const at of moved) {
    const found = sizes[at];
    if (found === undefined) continue;
    kept.set(files[at]!.parsed.base, found);
    counted++;
  }
  if (counted > 0 || (known !== undefined && kept.size < known.size)) await writeSizeIndex(maildir, kept, skipped);
  const uidls = new Set<string>();
  const messages: ListedMessage[] = [];
  for (const [at, file] of files.entries()) {
    if (at % NAMES_PER_TURN === NAMES_PER_TURN - 1) await setImmediate();
    const found = sizes[at];
    if (found !== undefined) messages.push(listed(file, found, uidls));
  }
  return messages;
}

/** What another program gave another name before it was counted is there no less. @param files those at `moved` are replaced. */
async function countMoved(
  maildir: string,
  files: FoundFile[],
  sizes: (MessageSizes | undefined)[],
  moved: readonly number[],
  skipped: Skipped,
): Promise<void> {
  let left = moved;
  for (let scans = 0; scans < MAX_SCANS && left.length > 0; scans++) {
    const there = await scan(maildir);
    const absent: number[] = [];
    for (const at of left) {
      const file = there.get(files[at]!.unique);
      const outcome = file && (await measure(maildir, file, skipped));
      if (outcome === undefined) absent.push(at);
      else if (outcome !== 'skipped') sizes[at] = outcome;
      if (file !== undefined) files[at] = file;
    }
    left = absent;
  }
}

type Measured = MessageSizes | 'skipped' | undefined;

/** @returns undefined when it is not there. */
function measure(maildir: string, { folder, name }: FoundFile, skipped: Skipped): Measured | Promise<Measured> {
  const path = `${maildir}/${folder}/${name}`;
  const failed = (error: unknown): 'skipped' => {
    skipped(path, error);
    return 'skipped';
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
  const { folder, name, unique, alias } = file;
  let uidl = uidlOf(unique);
  // The hash of one name may be the name of another file; RFC 1939 §7 wants two UIDLs.
  if (uidls.has(uidl)) uidl = uidlOf(`${unique}\n`);
  uidls.add(uidl);
  const message = { folder, name, uidl, fileBytes, sizeBytes: wireBytes };
  const whole = surrogateBytes === undefined ? message : { ...message, surrogateBytes };
  return alias === undefined ? whole : { ...whole, alias };
}
