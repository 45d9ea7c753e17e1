/**
 * Listings of Maildirs polled not long ago, so that a client that finds nothing new costs two stat calls. A listing
 * counts only while new/ and cur/ have the very times they had before it was read. File systems stamp with a coarse
 * clock: a folder changed right after it was read may keep its time, so a listing is not kept when a folder had been
 * changed within the last second. Bounded by messages in all; forgets what was used longest ago.
 */
import { sameStamp, type FolderStamp } from './folder-stamp.ts';
import type { ListedMessage } from './listing.ts';

export type Stamps = readonly [newFolder: FolderStamp, curFolder: FolderStamp];

interface Kept {
  readonly stamps: Stamps;
  readonly messages: readonly ListedMessage[];
}

const RACY_NS = 1_000_000_000n;
/** An empty listing takes room too. */
const ENTRY_COST = 8;

export class ListingCache {
  readonly #maxMessages: number;
  readonly #kept = new Map<string, Kept>();
  #cost = 0;

  constructor(maxMessages: number) {
    this.#maxMessages = maxMessages;
  }

  get(maildir: string, stamps: Stamps): readonly ListedMessage[] | undefined {
    const kept = this.#kept.get(maildir);
    if (kept === undefined) return undefined;
    if (!sameStamp(kept.stamps[0], stamps[0]) || !sameStamp(kept.stamps[1], stamps[1])) {
      this.#forget(maildir, kept);
      return undefined;
    }
    this.#kept.delete(maildir);
    this.#kept.set(maildir, kept);
    return kept.messages;
  }

  /**
   * @param stamps taken before the folders were read.
   * @param nowMs the system's clock before the folders were read.
   */
  set(maildir: string, stamps: Stamps, messages: readonly ListedMessage[], nowMs: number): void {
    const youngestNs = BigInt(Math.trunc(nowMs)) * 1_000_000n - RACY_NS;
    if (stamps[0].mtimeNs > youngestNs || stamps[1].mtimeNs > youngestNs) return;
    const before = this.#kept.get(maildir);
    if (before !== undefined) this.#forget(maildir, before);
    const cost = costOf(messages);
    if (cost > this.#maxMessages) return;
    for (const [oldest, kept] of this.#kept) {
      if (this.#cost + cost <= this.#maxMessages) break;
      this.#forget(oldest, kept);
    }
    this.#kept.set(maildir, { stamps, messages });
    this.#cost += cost;
  }

  #forget(maildir: string, kept: Kept): void {
    this.#kept.delete(maildir);
    this.#cost -= costOf(kept.messages);
  }
}

function costOf(messages: readonly ListedMessage[]): number {
  return messages.length + ENTRY_COST;
}
