/**
 * What is due when: a binary heap in typed arrays, 24 bytes for each message beside its id string, whatever the number
 * of recipients. Called by queue.ts only. Envelopes, states and bodies stay in the store; who is being delivered is not
 * in here. Ids are not indexed: finding one is a linear scan (about 10 ms in a million), which only commands of the
 * operator do. Nothing here can fail but for want of memory.
 */

/** The due time of a message that an operator wants tried now, before everything else and with all that is pending. */
export const FORCED_MS = 0;

export interface Schedule {
  readonly size: number;
  /** Adds an id that is not in here. @param dueAtMs as in Clock.now() */
  add(id: string, dueAtMs: number): void;
  /** When the first one is due; undefined when there is none. */
  nextDueAtMs(): number | undefined;
  /** Takes the longest due, if it is due at `nowMs`. */
  take(nowMs: number): { readonly id: string; readonly dueAtMs: number } | undefined;
  has(id: string): boolean;
  /** Drops an id. @returns whether it was in here */
  remove(id: string): boolean;
  /** Makes one due at once, as `FORCED_MS`. @returns whether it is in here */
  force(id: string): boolean;
  /** Makes all due at once. @returns how many */
  forceAll(): number;
}

const FIRST_CAPACITY = 1024;

/** An empty schedule. */
export function createSchedule(): Schedule {
  // A message has a slot for as long as it is in here; `heap` holds slots, `placeOf` says where in the heap a slot is.
  let dueAt = new Float64Array(FIRST_CAPACITY);
  let heap = new Uint32Array(FIRST_CAPACITY);
  let placeOf = new Uint32Array(FIRST_CAPACITY);
  // Empty slots keep '' (never a hole, so that the array stays packed) and chain through `placeOf`.
  const ids: string[] = [];
  let freeSlot = -1;
  let size = 0;

  function grow(): void {
    const capacity = dueAt.length * 2;
    const [due, order, places] = [new Float64Array(capacity), new Uint32Array(capacity), new Uint32Array(capacity)];
    due.set(dueAt);
    order.set(heap);
    places.set(placeOf);
    dueAt = due;
    heap = order;
    placeOf = places;
  }

  function put(place: number, slot: number): void {
    heap[place] = slot;
    placeOf[slot] = place;
  }

  function siftUp(from: number, slot: number): void {
    let place = from;
    const due = dueAt[slot]!;
    while (place > 0) {
      const parent = (place - 1) >> 1;
      if (dueAt[heap[parent]!]! <= due) break;
      put(place, heap[parent]!);
      place = parent;
    }
    put(place, slot);
  }

  function siftDown(from: number, slot: number): void {
    let place = from;
    const due = dueAt[slot]!;
    for (;;) {
      let child = place * 2 + 1;
      if (child >= size) break;
      if (child + 1 < size && dueAt[heap[child + 1]!]! < dueAt[heap[child]!]!) child++;
      if (dueAt[heap[child]!]! >= due) break;
      put(place, heap[child]!);
      place = child;
    }
    put(place, slot);
  }

  /** Takes the slot at this place of the heap out and frees it. */
  function cut(place: number): void {
    const slot = heap[place]!;
    size--;
    if (place < size) {
      const last = heap[size]!;
      if (place > 0 && dueAt[last]! < dueAt[heap[(place - 1) >> 1]!]!) siftUp(place, last);
      else siftDown(place, last);
    }
    ids[slot] = '';
    placeOf[slot] = freeSlot + 1;
    freeSlot = slot;
  }

  function find(id: string): number {
    return id === '' ? -1 : ids.indexOf(id);
  }

  return {
    get size() {
      return size;
    },
    add(id, dueAtMs) {
      if (size === dueAt.length) grow();
      let slot = freeSlot;
      if (slot >= 0) {
        freeSlot = placeOf[slot]! - 1;
        ids[slot] = id;
      } else {
        slot = ids.push(id) - 1;
      }
      dueAt[slot] = dueAtMs;
      siftUp(size++, slot);
    },
    nextDueAtMs() {
      return size === 0 ? undefined : dueAt[heap[0]!]!;
    },
    take(nowMs) {
      if (size === 0) return undefined;
      const slot = heap[0]!;
      const dueAtMs = dueAt[slot]!;
      if (dueAtMs > nowMs) return undefined;
      const id = ids[slot]!;
      cut(0);
      return { id, dueAtMs };
    },
    has: (id) => find(id) >= 0,
    remove(id) {
      const slot = find(id);
      if (slot < 0) return false;
      cut(placeOf[slot]!);
      return true;
    },
    force(id) {
      const slot = find(id);
      if (slot < 0) return false;
      dueAt[slot] = FORCED_MS;
      siftUp(placeOf[slot]!, slot);
      return true;
    },
    forceAll() {
      // All alike: any order is a heap.
      dueAt.fill(FORCED_MS);
      return size;
    },
  };
}
