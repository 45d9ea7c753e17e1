/**
 * Who goes first of what is ready, to one next hop or into mailboxes: as in queue/schedule, the longest waiting, where a
 * step of priority is worth some waiting. Used by delivery/local and remote/destination. Pure.
 */

export interface Ranked {
  /** When it became ready, less what its priority is worth: the lesser goes first. */
  readonly rank: number;
}

/** Puts an item behind all that go before it, or are its equals: mostly the end. */
export function insertRanked<Item extends Ranked>(list: Item[], item: Item): void {
  let at = list.length;
  while (at > 0 && list[at - 1]!.rank > item.rank) at--;
  if (at === list.length) list.push(item);
  else list.splice(at, 0, item);
}
