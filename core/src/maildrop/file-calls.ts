/**
 * The calls a delivery makes to the file system, as an effect: tests make each of them fail once.
 * Small ones are made in place, syncs and large writes on libuv's pool (docs/decisions/maildrop-syscalls.md).
 */
import { close, closeSync, fsync, mkdirSync, openSync, renameSync, unlinkSync, write, writeSync } from 'node:fs';
import { promisify } from 'node:util';

const writeAsync = promisify(write);
const fsyncAsync = promisify(fsync);
const closeAsync = promisify(close);

/** All throw Node's errors, with a `code`. */
export interface FileCalls {
  /** A new file to write; fails when there is one. */
  create(path: string): number;
  write(file: number, bytes: Uint8Array): void;
  writeLater(file: number, bytes: Uint8Array): Promise<void>;
  sync(file: number): Promise<void>;
  close(file: number): void;
  rename(from: string, to: string): void;
  remove(path: string): void;
  /** Makes the folder and those above it. @returns true when one had to be made. */
  makeFolder(path: string): boolean;
  syncFolder(path: string): Promise<void>;
}

export const nodeFileCalls: FileCalls = {
  create: (path) => openSync(path, 'wx', 0o600),
  write(file, bytes) {
    for (let done = 0; done < bytes.length;) done += writeSync(file, bytes, done);
  },
  async writeLater(file, bytes) {
    for (let done = 0; done < bytes.length;)
      done += (await writeAsync(file, bytes, done, bytes.length - done, null)).bytesWritten;
  },
  sync: (file) => fsyncAsync(file),
  close: (file) => closeSync(file),
  rename: (from, to) => renameSync(from, to),
  remove: (path) => unlinkSync(path),
  makeFolder: (path) => mkdirSync(path, { recursive: true, mode: 0o700 }) !== undefined,
  async syncFolder(path) {
    const folder = openSync(path, 'r');
    try {
      await fsyncAsync(folder);
    } finally {
      await closeAsync(folder);
    }
  },
};
