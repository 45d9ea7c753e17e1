/**
 * Where the messages of a Maildir are while other programs move, mark and delete them: for who looks from outside and takes
 * no lock. A folder that is read while names in it change may show neither the old name nor the new one, so a message is
 * only gone when folders that stood still meanwhile do not show it. Follows no symbolic link that lies among the messages: who
 * looks may be root, and the link its user's.
 */
import { lstatSync } from 'node:fs';
import { type FileHandle, open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { isAbsent, unlessAbsent } from './absent.ts';
import { parseMessageName } from './file-name.ts';
import { sameStamp, stampOf, type FolderStamp } from './folder-stamp.ts';
import { type FoundFile, type MessageFolder, unite } from './listing.ts';
import { READ_ONLY } from './size-index.ts';

/** A file among the messages, where it was seen last. */
export interface MessagePlace {
  readonly folder: MessageFolder;
  /** File name with flags. */
  readonly name: string;
}

/** An open message, and where it was found. */
export interface OpenMessage extends MessagePlace {
  readonly file: FileHandle;
}

interface Look {
  readonly byBase: ReadonlyMap<string, FoundFile>;
  readonly byUnique: ReadonlyMap<string, FoundFile>;
  /** Those of which another has the same base, by it. */
  readonly twins: ReadonlyMap<string, FoundFile[]>;
  readonly stamps: readonly FolderStamp[];
  /** Nothing changed while the folders were read. */
  readonly quiet: boolean;
}

const FOLDERS = ['new', 'cur'] satisfies MessageFolder[];
/** One look misses few of those that are renamed in that moment: so many in a row miss none. */
const MAX_LOOKS = 8;
/** File systems stamp with a coarse clock: one look may seem quiet that was not. */
const MIN_LOOKS = 2;

export class Whereabouts {
  readonly #maildir: string;
  #last: Look | undefined;

  constructor(maildir: string) {
    this.#maildir = maildir;
  }

  pathOf({ folder, name }: MessagePlace): string {
    return join(this.#maildir, folder, name);
  }

  /**
   * All messages in the order of their names: none is missing, and some may be among them that were deleted during the call.
   * @throws when a folder cannot be read; one that is not there is empty.
   */
  async all(): Promise<FoundFile[]> {
    const found = new Map<string, FoundFile>();
    for (let looks = 1, isDone = false; !isDone; looks++) {
      const { byBase, quiet } = await this.#look();
      for (const [base, file] of byBase) found.set(base, file);
      isDone = looks >= (quiet ? MIN_LOOKS : MAX_LOOKS);
    }
    return [...found.keys()].sort().flatMap((base) => [found.get(base)!, ...this.#twinsOf(found.get(base)!)]);
  }

  /** Other messages of the very same name but for folder or flags, as a careless restore leaves them; moved ones are no others. */
  #twinsOf(file: FoundFile): FoundFile[] {
    const twins = this.#last?.twins.get(file.parsed.base) ?? [];
    const own = twins.length === 0 ? undefined : this.#inodeOf(file);
    // It was moved, and its twin is it.
    if (own === undefined) return [];
    const inodes = new Set([own]);
    return twins.filter((twin) => {
      const inode = this.#inodeOf(twin);
      if (inode === undefined || inodes.has(inode)) return false;
      inodes.add(inode);
      return true;
    });
  }

  #inodeOf(place: MessagePlace): bigint | undefined {
    return lstatSync(this.pathOf(place), { bigint: true, throwIfNoEntry: false })?.ino;
  }

  /**
   * Opens a message, also when it was moved or got other flags or sizes in its name after it was listed.
   * @returns undefined when it is gone. @throws when it cannot be read, or is no regular file.
   */
  async open({ folder, name }: MessagePlace): Promise<OpenMessage | undefined> {
    const file = await openRegular(this.pathOf({ folder, name }));
    if (file !== undefined) return { file, folder, name };
    const { base, unique } = parseMessageName(name);
    let look = this.#last ?? (await this.#look());
    for (let looks = 1; ; looks++) {
      const now = look.byBase.get(base) ?? look.byUnique.get(unique);
      if (now === undefined && looks >= (look.quiet && this.#isStill(look) ? MIN_LOOKS : MAX_LOOKS)) return undefined;
      const moved = now === undefined ? undefined : await openRegular(this.pathOf(now));
      if (now !== undefined && moved !== undefined) return { file: moved, folder: now.folder, name: now.name };
      // Names that are listed and not there are those of which some bytes could not be read as text.
      if (now?.name.includes('\ufffd') === true) throw new Error('its name is not UTF-8');
      if (looks >= MAX_LOOKS) throw new Error('it is renamed all the time');
      look = await this.#look();
    }
  }

  async #look(): Promise<Look> {
    const before = this.#stamps();
    // New first: a message that another program moves to cur/ meanwhile is seen twice rather than not at all.
    const inNew = await unlessAbsent(readdir(join(this.#maildir, 'new')), []);
    const inCur = await unlessAbsent(readdir(join(this.#maildir, 'cur')), []);
    const files = unite(inNew, inCur);
    const stamps = this.#stamps();
    const byBase = new Map<string, FoundFile>();
    const twins = new Map<string, FoundFile[]>();
    for (const file of files) {
      const { base } = file.parsed;
      if (!byBase.has(base)) byBase.set(base, file);
      else twins.set(base, [...(twins.get(base) ?? []), file]);
    }
    this.#last = {
      byBase,
      byUnique: new Map(files.map((file) => [file.parsed.unique, file])),
      twins,
      stamps,
      quiet: areSame(before, stamps),
    };
    return this.#last;
  }

  #isStill({ stamps }: Look): boolean {
    return areSame(stamps, this.#stamps());
  }

  #stamps(): FolderStamp[] {
    return FOLDERS.map((folder) => stampOf(join(this.#maildir, folder)));
  }
}

function areSame(some: readonly FolderStamp[], others: readonly FolderStamp[]): boolean {
  return some.every((stamp, at) => sameStamp(stamp, others[at]!));
}

async function openRegular(path: string): Promise<FileHandle | undefined> {
  let file: FileHandle;
  try {
    file = await open(path, READ_ONLY);
  } catch (error) {
    if (isAbsent(error)) return undefined;
    if ((error as NodeJS.ErrnoException).code === 'ELOOP') throw new Error('no regular file', { cause: error });
    throw error;
  }
  if ((await file.stat()).isFile()) return file;
  await file.close();
  throw new Error('no regular file');
}
