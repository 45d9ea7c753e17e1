/**
 * A queue store that keeps everything in memory, held to the same conformance suite as the one on disk.
 * Used by tests, by benches (what does the disk cost?) and where lost mail is no harm: what is in here ends with the
 * process, except that a closed store can be opened again. Bounded by `maxBytes`: over it `add` fails with PH_STORE_FULL.
 */
import { readFile, unlink } from 'node:fs/promises';
import {
  type DeliveryState,
  type Envelope,
  type NewMessage,
  type QueueStore,
  StoreError,
  type StoredMessage,
} from '@posthorn/sdk';

export interface MemoryStoreOptions {
  /** Bytes of envelopes and bodies together; 1 GiB when absent. */
  readonly maxBytes?: number;
}

interface Held {
  readonly envelope: Buffer;
  readonly body: Buffer;
  state: DeliveryState | undefined;
}

const CHUNK_BYTES = 64 * 1024;
const ID = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

/** A store in memory; open it before use. */
export function createMemoryStore(options: MemoryStoreOptions = {}): QueueStore {
  const maxBytes = options.maxBytes ?? 1024 * 1024 * 1024;
  const held = new Map<string, Held>();
  let bytes = 0;
  let isOpen = false;

  function mustBeOpen(): void {
    if (!isOpen) throw new StoreError('PH_STORE_CLOSED', 'the store is not open');
  }

  async function copyOf(message: NewMessage): Promise<Held> {
    if (!ID.test(message.id)) throw new StoreError('PH_STORE_FAILED', `not an id: ${message.id}`);
    const parts: Uint8Array[] = [...message.pieces];
    if (message.file !== undefined) {
      const { path, from, to } = message.file;
      const bytes = await readFile(path);
      if (from < 0 || to < from || to > bytes.length) {
        throw new StoreError('PH_STORE_FAILED', `range ${from} to ${to} of a spool file of ${bytes.length} bytes`);
      }
      parts.push(bytes.subarray(from, to));
    }
    return { envelope: Buffer.from(message.envelope), body: Buffer.concat(parts), state: undefined };
  }

  function stored(one: Held): StoredMessage {
    return { envelope: JSON.parse(one.envelope.toString()) as Envelope, state: one.state };
  }

  return {
    async open() {
      isOpen = true;
    },
    async add(group) {
      mustBeOpen();
      const copies = await Promise.all(group.map(copyOf)).catch((cause: unknown) => {
        throw cause instanceof StoreError ? cause : new StoreError('PH_STORE_FAILED', String(cause), { cause });
      });
      const more = copies.reduce((sum, one) => sum + one.envelope.length + one.body.length, 0);
      if (bytes + more > maxBytes) throw new StoreError('PH_STORE_FULL', `${bytes} of ${maxBytes} bytes are taken`);
      bytes += more;
      for (const [index, message] of group.entries()) {
        held.set(message.id, copies[index]!);
        if (message.file !== undefined) await unlink(message.file.path);
      }
    },
    async read(id) {
      mustBeOpen();
      const one = held.get(id);
      return one && stored(one);
    },
    async *body(id) {
      mustBeOpen();
      const one = held.get(id);
      if (one === undefined) throw new StoreError('PH_STORE_FAILED', `no message ${id}`);
      for (let at = 0; at < one.body.length; at += CHUNK_BYTES) yield one.body.subarray(at, at + CHUNK_BYTES);
    },
    async settle(id, state) {
      mustBeOpen();
      const one = held.get(id);
      if (one !== undefined) one.state = structuredClone(state);
    },
    async remove(id) {
      mustBeOpen();
      const one = held.get(id);
      if (one === undefined) return;
      held.delete(id);
      bytes -= one.envelope.length + one.body.length;
    },
    async *list() {
      mustBeOpen();
      for (const id of [...held.keys()].sort()) {
        const one = held.get(id);
        if (one !== undefined) yield { kind: 'message', id, message: stored(one) };
      }
    },
    async freeBytes() {
      mustBeOpen();
      return maxBytes - bytes;
    },
    async close() {
      isOpen = false;
    },
  };
}
