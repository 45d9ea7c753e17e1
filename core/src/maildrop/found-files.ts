/** The files of new/ and cur/ put together, by the part of their names that stays: what a look at a Maildir finds. */
import { hash } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import { parseMessageName, type MessageName } from './file-name.ts';

export type MessageFolder = 'new' | 'cur';

export interface FoundFile {
  readonly folder: MessageFolder;
  readonly name: string;
  readonly parsed: MessageName;
  /** What its UIDL is made of: that of its name, but for a twin. */
  readonly unique: string;
  /** There is another file whose name has this unique part. */
  readonly twinOf?: string;
  /** The same file by another name. */
  readonly alias?: Pick<FoundFile, 'folder' | 'name'>;
}

/** Between two turns of the loop, each a few milliseconds: other sessions of the thread go on while 100,000 are listed. */
export const NAMES_PER_TURN = 4096;
const TWIN_DIGITS = 16;

/** @returns them in the order of their names, so in the order of their arrival. */
export function unite(inNew: readonly string[], inCur: readonly string[]): FoundFile[] {
  const files = new Map<string, FoundFile>();
  for (const name of inNew) addFile(files, 'new', name);
  for (const name of inCur) addFile(files, 'cur', name);
  return [...files.keys()].sort().map((unique) => files.get(unique)!);
}

/** The same by unique part, in turns and in no order. */
export async function uniteMany(inNew: readonly string[], inCur: readonly string[]): Promise<Map<string, FoundFile>> {
  const files = new Map<string, FoundFile>();
  for (const [folder, names] of [
    ['new', inNew],
    ['cur', inCur],
  ] as const) {
    for (let from = 0; from < names.length; from += NAMES_PER_TURN) {
      for (const name of names.slice(from, from + NAMES_PER_TURN)) addFile(files, folder, name);
      await setImmediate();
    }
  }
  return files;
}

/** In the order of their names, in turns. */
export async function inOrder(files: ReadonlyMap<string, FoundFile>): Promise<FoundFile[]> {
  const uniques = [...files.keys()];
  const sorted: string[] = [];
  for (let from = 0; from < uniques.length; from += NAMES_PER_TURN) {
    for (const unique of uniques.slice(from, from + NAMES_PER_TURN).sort()) sorted.push(unique);
    await setImmediate();
  }
  // Sorted runs are only merged by this: a quarter of the work, which has to be done in one turn.
  return sorted.sort().map((unique) => files.get(unique)!);
}

function addFile(files: Map<string, FoundFile>, folder: MessageFolder, name: string): void {
  if (name.charCodeAt(0) === 46) return;
  const parsed = parseMessageName(name);
  const { unique } = parsed;
  if (!files.has(unique)) {
    files.set(unique, { folder, name, parsed, unique });
    return;
  }
  let apart = unique;
  for (let more = ''; files.has(apart); more += '\n') {
    // A name that begins with a dot would hide it.
    apart = `${unique || '_'}.${hash('sha256', parsed.base + more).slice(0, TWIN_DIGITS)}`;
  }
  files.set(apart, { folder, name, parsed, unique: apart, twinOf: unique });
}
