/** Everything in the store by id, damaged records too, as it was when the list began. Called by the store's `list`. */
import type { DeliveryState, Envelope, ListedMessage } from '@posthorn/sdk';
import type { Entry } from './entry.ts';
import type { LevelIndex } from './level-index.ts';
import type { SetAside } from './set-aside.ts';
import type { Table } from './table.ts';

export interface ListParts {
  readonly table: Table;
  readonly index: LevelIndex;
  readonly setAside: SetAside;
}

/** What the port promises of a message. */
export function storedOf(entry: Entry): { envelope: Envelope; state: DeliveryState | undefined } {
  const state = entry.state === undefined ? undefined : (JSON.parse(entry.state.toString()) as DeliveryState);
  return { envelope: JSON.parse(entry.envelope.toString()) as Envelope, state };
}

function* listed(entry: Entry): Generator<ListedMessage, void> {
  if (!entry.removed) yield { kind: 'message', id: entry.id, message: storedOf(entry) };
}

/** @throws what Level or the file system says */
export async function* listMessages({ table, index, setAside }: ListParts): AsyncGenerator<ListedMessage, void> {
  // All taken in one turn: Level as it is now, and what is newer than it. The removals too, for a checkpoint that ends
  // while this reads takes them out of the table, but not out of what the iterator sees.
  const newer = [...table.dirty.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
  const gone = new Set([...table.removed.keys(), ...table.removing.keys()]);
  const all = index.all();
  let at = 0;
  for await (const one of all) {
    for (; at < newer.length && newer[at]!.id < one.id; at++) yield* listed(newer[at]!);
    if (newer[at]?.id === one.id) yield* listed(newer[at++]!);
    else if ('bad' in one) yield { kind: 'damaged', where: `index ${one.id}`, reason: one.bad };
    else if (!gone.has(one.id) && !table.isRemoved(one.id)) yield* listed(one.entry);
  }
  for (; at < newer.length; at++) yield* listed(newer[at]!);
  for await (const { where, reason } of setAside.all()) yield { kind: 'damaged', where, reason };
}
