/**
 * What the store asks of the file system, as one small interface, so that tests make each operation fail once.
 * Every other file of the package takes a FileOps; nothing here retries or hides an error. Descriptors are numbers.
 */
import * as fs from 'node:fs';
import { promisify } from 'node:util';

export interface FileOps {
  /** For reading and writing, made when absent; every write is on the disk when it returns (O_DSYNC). */
  openLog(path: string): Promise<number>;
  openRead(path: string): Promise<number>;
  close(fd: number): Promise<void>;
  /** Writes the buffers one behind the other. @returns the bytes written, which may be fewer than given */
  write(fd: number, buffers: readonly Uint8Array[], position: number): Promise<number>;
  /** @returns the bytes read, fewer than asked for at the end of the file */
  read(fd: number, into: Uint8Array, position: number): Promise<number>;
  /** The same at once, for bytes that were written a moment ago and lie in the system's cache. */
  readNow(fd: number, into: Uint8Array, position: number): number;
  truncate(fd: number, length: number): Promise<void>;
  /** Puts a file that others wrote on the disk. */
  syncFile(path: string): Promise<void>;
  /** Puts the names in a folder on the disk. */
  syncDirectory(path: string): Promise<void>;
  sizeOf(path: string): Promise<number>;
  rename(from: string, to: string): Promise<void>;
  copy(from: string, to: string): Promise<void>;
  unlink(path: string): Promise<void>;
  list(directory: string): Promise<string[]>;
  makeDirectory(path: string): Promise<void>;
  writeFile(path: string, content: Uint8Array | string): Promise<void>;
  freeBytes(directory: string): Promise<number>;
}

const { O_CREAT, O_DSYNC, O_RDONLY, O_RDWR } = fs.constants;
const open = promisify(fs.open);
const fsync = promisify(fs.fsync);
const ftruncate = promisify(fs.ftruncate);
const close = promisify(fs.close);

async function syncPath(path: string): Promise<void> {
  const fd = await open(path, O_RDONLY);
  try {
    await fsync(fd);
  } finally {
    await close(fd);
  }
}

/** The real file system. */
export const nodeFileOps: FileOps = {
  openLog: (path) => open(path, O_RDWR | O_CREAT | O_DSYNC, 0o600),
  openRead: (path) => open(path, O_RDONLY),
  close: (fd) => close(fd),
  write(fd, buffers, position) {
    return new Promise((resolve, reject) => {
      const done = (error: Error | null, bytes: number): void => (error === null ? resolve(bytes) : reject(error));
      if (buffers.length === 1) fs.write(fd, buffers[0]!, 0, buffers[0]!.length, position, done);
      else fs.writev(fd, buffers, position, done);
    });
  },
  read(fd, into, position) {
    return new Promise((resolve, reject) => {
      fs.read(fd, into, 0, into.length, position, (error, bytes) => (error === null ? resolve(bytes) : reject(error)));
    });
  },
  readNow: (fd, into, position) => fs.readSync(fd, into, 0, into.length, position),
  truncate: (fd, length) => ftruncate(fd, length),
  syncFile: syncPath,
  syncDirectory: syncPath,
  sizeOf: async (path) => (await fs.promises.stat(path)).size,
  rename: (from, to) => fs.promises.rename(from, to),
  copy: (from, to) => fs.promises.copyFile(from, to),
  unlink: (path) => fs.promises.unlink(path),
  list: async (directory) => (await fs.promises.readdir(directory)).sort(),
  makeDirectory: async (path) => void (await fs.promises.mkdir(path, { recursive: true, mode: 0o700 })),
  writeFile: (path, content) => fs.promises.writeFile(path, content, { mode: 0o600 }),
  async freeBytes(directory) {
    const { bavail, bsize } = await fs.promises.statfs(directory);
    return bavail * bsize;
  },
};

/** Reads until the buffer is full or the file ends. @returns the bytes read */
export async function readFully(files: FileOps, fd: number, into: Uint8Array, position: number): Promise<number> {
  let got = 0;
  while (got < into.length) {
    const bytes = await files.read(fd, got === 0 ? into : into.subarray(got), position + got);
    if (bytes === 0) break;
    got += bytes;
  }
  return got;
}
