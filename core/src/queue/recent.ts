/**
 * Envelopes of messages that were just accepted, so that delivery, which mostly comes within milliseconds, need not ask
 * the disk for them. Called by queue.ts. Bounded in number and bytes; when it is full the newest are left out, since
 * the oldest are delivered first. Holds copies: the caller's bytes may lie in shared memory that is used again.
 */
import type { Envelope } from '../mail/envelope.ts';

export interface RecentEnvelopes {
  put(id: string, envelope: Uint8Array): void;
  /** Takes it out. */
  take(id: string): Envelope | undefined;
  drop(id: string): void;
  readonly size: number;
}

/** An empty cache. */
export function createRecentEnvelopes(maxMessages: number, maxBytes: number): RecentEnvelopes {
  const held = new Map<string, Buffer>();
  let bytes = 0;

  function drop(id: string): Buffer | undefined {
    const envelope = held.get(id);
    if (envelope === undefined) return undefined;
    held.delete(id);
    bytes -= envelope.length;
    return envelope;
  }

  return {
    put(id, envelope) {
      if (held.size >= maxMessages || bytes + envelope.length > maxBytes) return;
      // As a string of Latin-1 it would be smaller for V8, but addresses may be UTF-8.
      held.set(id, Buffer.from(envelope));
      bytes += envelope.length;
    },
    take(id) {
      const envelope = drop(id);
      return envelope === undefined ? undefined : (JSON.parse(envelope.toString()) as Envelope);
    },
    drop(id) {
      drop(id);
    },
    get size() {
      return held.size;
    },
  };
}
