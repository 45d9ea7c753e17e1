/**
 * Where listed messages are now: other programs rename files (flags, new/ to cur/) and remove them. Used by an open maildrop.
 * A folder that is read while names in it change may show neither the old name nor the new one, so a message is only
 * gone when it was not in a folder that stayed as it was meanwhile.
 */
import { openSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { isAbsent } from './absent.ts';
import { parseMessageName } from './file-name.ts';
import { sameStamp, stampOf, type FolderStamp } from './folder-stamp.ts';
import { readOrNone, type ListedMessage, type MessageFolder } from './listing.ts';
import { READ_ONLY } from './size-index.ts';

const FOLDERS = ['new', 'cur'] satisfies MessageFolder[];
const MAX_SCANS = 3;
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
  #scan: Scan | undefined;

  constructor(maildir: string) {
    this.#maildir = maildir;
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
   * @param failed told of each that cannot be removed. @returns those that were removed; the rest was gone. @throws when a folder cannot be read.
   */
  removeMoved(messages: readonly ListedMessage[], failed: (message: ListedMessage, error: unknown) => void): ListedMessage[] {
    const done: ListedMessage[] = [];
    let left = [...messages];
    for (let scans = 0; scans < MAX_SCANS && left.length > 0; scans++) {
      const { paths, quiet } = this.#read();
      const absent: ListedMessage[] = [];
      let isFound = false;
      for (const message of left) {
        const path = paths.get(baseOf(message));
        isFound ||= path !== undefined;
        try {
          if (path !== undefined && ifThere(() => removed(path)) === true) done.push(message);
          else absent.push(message);
        } catch (error) {
          failed(message, error);
        }
      }
      left = absent;
      if (quiet && !isFound) break;
    }
    return done;
  }

  /** Is there a message of that base name now? @throws when a folder cannot be read. */
  has(base: string): boolean {
    return this.#current().paths.has(base);
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
    const before = this.#stamps();
    const paths = new Map<string, string>();
    for (const folder of FOLDERS) {
      const path = join(this.#maildir, folder);
      for (const name of readOrNone(path)) paths.set(parseMessageName(name).base, join(path, name));
    }
    const stamps = this.#stamps();
    this.#scan = { paths, stamps, quiet: stamps.every((stamp, at) => sameStamp(stamp, before[at]!)) };
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
