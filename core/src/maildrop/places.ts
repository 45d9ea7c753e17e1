/**
 * Where listed messages are now: other programs rename files (flags, new/ to cur/) and remove them. Used by an open maildrop.
 * A folder that is read while names in it change may show neither the old name nor the new one, so a message is only
 * gone when it was not in a folder that stayed as it was meanwhile, or in none of some looks in a row.
 */
import { openSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { isAbsent } from './absent.ts';
import { parseMessageName } from './file-name.ts';
import { sameStamp, stampOf, stayed, TICKS_MS, type FolderStamp } from './folder-stamp.ts';
import type { ListedMessage, MessageFolder } from './listing.ts';
import { readOrNone } from './scan.ts';
import { READ_ONLY } from './size-index.ts';

const FOLDERS = ['new', 'cur'] satisfies MessageFolder[];
const MAX_SCANS = 3;
/** Looks for what is to be deleted: one that goes on being renamed shall be caught, or told of. */
const MAX_DELETE_SCANS = 20;
/**
 * What so many looks in a row do not show is gone, though folders never stood still (mail comes, another client deletes): of
 * 5,000 messages renamed without a pause a look misses one.
 */
const GONE_AFTER_SCANS = 5;
/** What a program that has looked at a new message, or has shown it, makes of its name. */
const LIKELY = [
  ['cur', ':2,'],
  ['cur', ':2,S'],
  ['new', ':2,S'],
] as const;

interface Scan {
  readonly paths: ReadonlyMap<string, string>;
  readonly stamps: readonly FolderStamp[];
  /** Nothing changed while the folders were read. */
  readonly quiet: boolean;
}

export class Places {
  readonly #maildir: string;
  readonly #now: () => number;
  #scan: Scan | undefined;

  /** @param now the system's clock, in milliseconds. */
  constructor(maildir: string, now: () => number) {
    this.#maildir = maildir;
    this.#now = now;
  }

  /** @returns a file descriptor. @throws the system's error; ENOENT when the message is gone. */
  open(message: ListedMessage): number {
    const near = this.#near(message, (path) => openSync(path, READ_ONLY));
    if (near !== undefined) return near;
    for (let scans = 0; scans < MAX_SCANS; scans++) {
      const { paths, quiet } = this.#current();
      const path = paths.get(baseOf(message));
      const file = path === undefined ? undefined : ifThere(() => openSync(path, READ_ONLY));
      if (file !== undefined) return file;
      if (path === undefined && quiet) break;
      this.#scan = undefined;
    }
    return openSync(this.#pathOf(message), READ_ONLY);
  }

  /** @returns false when it is not where it was. @throws when it cannot be removed. */
  remove(message: ListedMessage): boolean {
    return this.#near(message, removed) === true;
  }

  /**
   * Removes messages that are not where they were. Looks at the folders a few times in all, however many they are.
   * @param failed told of each that cannot be removed, and of each that is not seen to be gone.
   * @returns those that were removed; the rest was gone. @throws when a folder cannot be read.
   */
  async removeMoved(
    messages: readonly ListedMessage[],
    failed: (message: ListedMessage, error: unknown) => void,
  ): Promise<ListedMessage[]> {
    const done: ListedMessage[] = [];
    let left = messages.map((message) => ({ message, absent: 0 }));
    for (let scans = 0; left.length > 0; scans++) {
      if (scans === MAX_DELETE_SCANS) {
        for (const { message } of left) failed(message, new Error('another program goes on renaming it'));
        break;
      }
      // What was just deleted here makes the folder one that has just changed.
      if (scans > 0) await setTimeout(TICKS_MS);
      const { paths, quiet } = this.#read();
      const moving: typeof left = [];
      for (const { message, absent } of left) {
        const path = paths.get(baseOf(message));
        if (path === undefined) {
          if (!quiet && absent + 1 < GONE_AFTER_SCANS) moving.push({ message, absent: absent + 1 });
          continue;
        }
        try {
          if (ifThere(() => removed(path)) === true) done.push(message);
          else moving.push({ message, absent: 0 });
        } catch (error) {
          failed(message, error);
        }
      }
      left = moving;
    }
    return done;
  }

  /** Where it was, and where it most likely went: no folder has to be read for that. */
  #near<T>(message: ListedMessage, act: (path: string) => T): T | undefined {
    const there = ifThere(() => act(this.#pathOf(message)));
    if (there !== undefined) return there;
    const base = baseOf(message);
    for (const [folder, flags] of LIKELY) {
      const result = ifThere(() => act(join(this.#maildir, folder, base + flags)));
      if (result !== undefined) return result;
    }
    return undefined;
  }

  /** The last look at the folders where they did not change since. */
  #current(): Scan {
    const known = this.#scan;
    if (known?.quiet === true && this.#stamps().every((stamp, at) => sameStamp(stamp, known.stamps[at]!))) return known;
    return this.#read();
  }

  #read(): Scan {
    const startedAtMs = this.#now();
    const before = this.#stamps();
    const paths = new Map<string, string>();
    for (const folder of FOLDERS) {
      const path = join(this.#maildir, folder);
      for (const name of readOrNone(path)) paths.set(parseMessageName(name).base, join(path, name));
    }
    const stamps = this.#stamps();
    this.#scan = { paths, stamps, quiet: stamps.every((stamp, at) => stayed(before[at]!, stamp, startedAtMs)) };
    return this.#scan;
  }

  #stamps(): FolderStamp[] {
    return FOLDERS.map((folder) => stampOf(join(this.#maildir, folder)));
  }

  #pathOf({ folder, name }: ListedMessage): string {
    // Each RETR opens one: `join` looks at every character of it.
    return `${this.#maildir}/${folder}/${name}`;
  }
}

function baseOf({ name }: ListedMessage): string {
  return parseMessageName(name).base;
}

function removed(path: string): true {
  unlinkSync(path);
  return true;
}

function ifThere<T>(act: () => T): T | undefined {
  try {
    return act();
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw error;
  }
}
