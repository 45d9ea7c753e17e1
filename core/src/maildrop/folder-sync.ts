/**
 * Syncs folders for deliveries: those into the same folder that come while a sync is under way share the next one.
 * Whoever waits gets the outcome of a sync that began after the call, so after its own rename.
 */
interface Syncing {
  readonly running: Promise<void>;
  next: Promise<void> | undefined;
}

export class FolderSync {
  readonly #syncFolder: (path: string) => Promise<void>;
  readonly #folders = new Map<string, Syncing>();

  constructor(syncFolder: (path: string) => Promise<void>) {
    this.#syncFolder = syncFolder;
  }

  /** Resolves when the folder's entries, as of now, are on disk; rejects when the sync failed. */
  sync(path: string): Promise<void> {
    const syncing = this.#folders.get(path);
    if (syncing === undefined) return this.#start(path);
    syncing.next ??= this.#after(syncing.running, path);
    return syncing.next;
  }

  async #after(running: Promise<void>, path: string): Promise<void> {
    // How the sync before ended is the concern of those who waited for it.
    await running.then(undefined, () => undefined);
    return this.#start(path);
  }

  #start(path: string): Promise<void> {
    const running = this.#syncFolder(path).finally(() => {
      if (this.#folders.get(path) === syncing && syncing.next === undefined) this.#folders.delete(path);
    });
    const syncing: Syncing = { running, next: undefined };
    this.#folders.set(path, syncing);
    return running;
  }
}
