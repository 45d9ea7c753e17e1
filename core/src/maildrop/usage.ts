/**
 * How much a mailbox holds, in the file `maildirsize` of Maildir++: a first line with the quota, then a line of bytes and
 * messages for each change, which are added up. Other programs (Dovecot, Courier, maildrop) read and write the same. Each
 * change is one append, whoever makes it; the file is counted anew when it is missing, long, of another quota, or when
 * somebody changed the mailbox without a word here. It is a memory, not a record: what it says may be behind by what
 * happens in this very moment.
 */
import { closeSync, constants, openSync, readFileSync, statSync, writeSync } from 'node:fs';
import { readdir, rename, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isAbsent } from './absent.ts';
import { parseMessageName } from './file-name.ts';
import type { Skipped } from './size-index.ts';

export interface Usage {
  readonly bytes: number;
  readonly messages: number;
}

/** What the file said when it was read. */
export interface NotedUsage extends Usage {
  /** May be behind: folders changed after it was written, or it makes no sense. */
  readonly doubtful: boolean;
  /** Nothing changed since the mailbox was counted. */
  readonly counted: boolean;
}

const FILE = 'maildirsize';
/** Of the file: past it, it is counted anew (Maildir++). */
const MAX_FILE_BYTES = 5120;
/** A delivery changes the folder first and then the file, and file systems stamp with a coarse clock. */
const SLACK_MS = 2_000;
/** Files looked at in one go when a name does not tell the size. */
const STATS_AT_ONCE = 32;

/**
 * What is noted, from one small file.
 * @param quotaBytes of the mailbox; a file of another quota is not ours to believe.
 * @returns undefined when nothing usable is noted. @throws when the file system fails.
 */
export function readUsage(maildir: string, quotaBytes: number): NotedUsage | undefined {
  const path = join(maildir, FILE);
  const found = statSync(path, { throwIfNoEntry: false });
  if (found === undefined) return undefined;
  const text = readFileSync(path, 'latin1');
  const [first = '', ...lines] = text.split('\n');
  if (first !== headOf(quotaBytes)) return undefined;
  let bytes = 0;
  let messages = 0;
  let changes = 0;
  for (const line of lines) {
    const [, more, count] = /^ *(-?\d{1,15}) +(-?\d{1,15}) *$/.exec(line) ?? [];
    if (more === undefined) continue;
    bytes += Number(more);
    messages += Number(count);
    changes += 1;
  }
  const changedMs = Math.max(...['new', 'cur'].map((folder) => mtimeOf(join(maildir, folder))));
  const doubtful = bytes < 0 || messages < 0 || text.length > MAX_FILE_BYTES || changedMs > found.mtimeMs + SLACK_MS;
  return { bytes, messages, doubtful, counted: changes === 1 && !doubtful };
}

/**
 * Notes a change, where usage is noted at all.
 * @param bytes of files that came, negative of files that went. @throws when the file system fails.
 */
export function noteUsage(maildir: string, bytes: number, messages: number): void {
  let file: number;
  try {
    // Appends, and makes no file: whose usage nobody asked for is not noted.
    file = openSync(join(maildir, FILE), constants.O_WRONLY | constants.O_APPEND);
  } catch (error) {
    if (isAbsent(error)) return;
    throw error;
  }
  try {
    writeSync(file, `${bytes} ${messages}\n`);
  } finally {
    closeSync(file);
  }
}

/**
 * Counts the mailbox with its folders but `.Trash`, as Maildir++ does, and notes it for who comes next.
 * @param skipped told of what cannot be read, and so cannot be counted: it must not keep all mail out.
 * @throws when it cannot be noted.
 */
export async function countUsage(maildir: string, quotaBytes: number, nowMs: number, skipped: Skipped): Promise<Usage> {
  let usage: Usage = { bytes: 0, messages: 0 };
  const inside = await namesIn(maildir, skipped);
  // A mailbox is made with its first message; it is counted when the next one comes.
  if (inside.length === 0) return usage;
  const folders = inside.filter((name) => name.startsWith('.') && name !== '.' && name !== '..' && name !== '.Trash');
  for (const folder of ['', ...folders]) {
    for (const part of ['new', 'cur']) usage = sum(usage, await countFolder(join(maildir, folder, part), skipped));
  }
  const path = join(maildir, FILE);
  const fresh = `${path}.${process.pid}.${nowMs.toString(36)}.${++written}`;
  await writeFile(fresh, `${headOf(quotaBytes)}\n${usage.bytes} ${usage.messages}\n`, { mode: 0o600 });
  // What changed while it was counted is after this time, and makes the next reader doubt.
  await utimes(fresh, nowMs / 1000, nowMs / 1000);
  await rename(fresh, path);
  return usage;
}

let written = 0;

function headOf(quotaBytes: number): string {
  return `${quotaBytes}S`;
}

async function countFolder(folder: string, skipped: Skipped): Promise<Usage> {
  let bytes = 0;
  let messages = 0;
  const unnamed: string[] = [];
  for (const name of await namesIn(folder, skipped)) {
    if (name.startsWith('.')) continue;
    messages += 1;
    const { fileBytes } = parseMessageName(name);
    if (fileBytes === undefined) unnamed.push(name);
    else bytes += fileBytes;
  }
  for (let at = 0; at < unnamed.length; at += STATS_AT_ONCE) {
    const sizes = await Promise.all(unnamed.slice(at, at + STATS_AT_ONCE).map((name) => sizeOf(join(folder, name), skipped)));
    for (const size of sizes) bytes += size;
  }
  return { bytes, messages };
}

async function sizeOf(path: string, skipped: Skipped): Promise<number> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if (!isAbsent(error)) skipped(path, error);
    return 0;
  }
}

/** None where there is no such folder. */
async function namesIn(folder: string, skipped: Skipped): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (!isAbsent(error) && (error as NodeJS.ErrnoException).code !== 'ENOTDIR') skipped(folder, error);
    return [];
  }
}

function sum(one: Usage, other: Usage): Usage {
  return { bytes: one.bytes + other.bytes, messages: one.messages + other.messages };
}

function mtimeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}
