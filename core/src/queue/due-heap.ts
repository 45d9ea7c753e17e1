/**
 * Times in order: a binary heap in typed arrays, 24 bytes for each message beside its id string, whatever the number of
 * recipients. A lane of queue/schedule, which alone calls it. Ids are not indexed: finding one is a linear scan (about
 * 10 ms in a million), which only commands of the operator do. Nothing here can fail but for want of memory.
 */

export interface DueHeap {
  readonly size: number;
  /** Adds an id that is not in here. @param dueAtMs as in Clock.now() */
  add(id: string, dueAtMs: number): void;
  /** When the first one is due; Infinity when there is none. */
  readonly nextDueAtMs: number;
  /** Takes the longest due; only when there is one. */
  take(): string;
  has(id: string): boolean;
  /** Drops an id. @returns whether it was in here */
  remove(id: string): boolean;
  /** Makes all due at that time. */
  setAll(dueAtMs: number): void;
}

/** An empty heap. @param capacity places to begin with; it grows by doubling */
export function createDueHeap(capacity: number): DueHeap {
  // A message has a slot for as long as it is in here; `heap` holds slots, `placeOf` says where in the heap a slot is.
  let dueAt = new Float64Array(capacity);
  let heap = new Uint32Array(capacity);
  let placeOf = new Uint32Array(capacity);
  // Empty slots keep '' (never a hole, so that the array stays packed) and chain through `placeOf`.
  const ids: string[] = [];
  let freeSlot = -1;
  let size = 0;

  function grow(): void {
    const doubled = dueAt.length * 2;
    const [due, order, places] = [new Float64Array(doubled), new Uint32Array(doubled), new Uint32Array(doubled)];
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
    get nextDueAtMs() {
      return size === 0 ? Infinity : dueAt[heap[0]!]!;
    },
    take() {
      const id = ids[heap[0]!]!;
      cut(0);
      return id;
    },
    has: (id) => find(id) >= 0,
    remove(id) {
      const slot = find(id);
      if (slot < 0) return false;
      cut(placeOf[slot]!);
      return true;
    },
    setAll(dueAtMs) {
      // All alike: any order is a heap.
      dueAt.fill(dueAtMs);
    },
  };
}
