/**
 * What is due when, and who goes first among what is due. Called by queue.ts only. Envelopes, states and bodies stay in
 * the store; who is being delivered is not in here.
 * A **lane** is a heap of times (due-heap.ts) for one priority (RFC 6710), and another one for what is held until its time
 * (RFC 4865); most mail has neither, and uses one lane. Among what is due the earliest goes first, where each step of
 * priority counts as `stepMs` of waiting. So an urgent message overtakes whatever came due within so long before it, and
 * the least of all waits no longer for the others than the steps between them: nothing starves, whatever comes in.
 * It costs one comparison for each lane that has ever been used, and nothing where there is only ordinary mail.
 */
import { createDueHeap, type DueHeap } from './due-heap.ts';

/** The due time of a message that an operator wants tried now, before everything else and with all that is pending. */
export const FORCED_MS = 0;

/** What a message asks of its turn. */
export interface Wish {
  /** MT-PRIORITY, -9 to 9. */
  readonly priority: number;
  /** The sender asked that it be held until it is due: only the operator who names it lets it go before. */
  readonly held: boolean;
}

/** Most mail asks for nothing. */
export const NO_WISH: Wish = { priority: 0, held: false };

/** @param priority of the envelope */
export function wishFor(priority: number | undefined, held: boolean): Wish {
  return priority === undefined && !held ? NO_WISH : { priority: priority ?? 0, held };
}

export interface Taken {
  readonly id: string;
  readonly dueAtMs: number;
  readonly wish: Wish;
}

export interface Schedule {
  readonly size: number;
  /** Adds an id that is not in here. @param dueAtMs as in Clock.now() */
  add(id: string, dueAtMs: number, wish: Wish): void;
  /** When the first one is due; undefined when there is none. */
  nextDueAtMs(): number | undefined;
  /** Takes whose turn it is, of what is due at `nowMs`. */
  take(nowMs: number): Taken | undefined;
  has(id: string): boolean;
  /** Drops an id. @returns whether it was in here */
  remove(id: string): boolean;
  /** Makes one due at once, as `FORCED_MS`, also one that is held. @returns whether it is in here */
  force(id: string): boolean;
  /** Makes all due at once that are not held. @returns how many */
  forceAll(): number;
}

interface Lane {
  readonly wish: Wish;
  readonly heap: DueHeap;
}

/** Most mail goes here; the other lanes begin small. */
const FIRST_CAPACITY = 1024;
const FIRST_CAPACITY_OF_OTHERS = 32;

/** An empty schedule. @param stepMs how much waiting a step of priority is worth */
export function createSchedule(stepMs: number): Schedule {
  const plain: Lane = { wish: NO_WISH, heap: createDueHeap(FIRST_CAPACITY) };
  // At most one for each priority, held or not.
  const lanes: Lane[] = [plain];

  function laneOf(wish: Wish): Lane {
    if (wish.priority === 0 && !wish.held) return plain;
    let lane = lanes.find((one) => one.wish.priority === wish.priority && one.wish.held === wish.held);
    if (lane === undefined) {
      lane = { wish, heap: createDueHeap(FIRST_CAPACITY_OF_OTHERS) };
      lanes.push(lane);
    }
    return lane;
  }

  /** The lane whose first is due and has waited longest, by its own time. */
  function firstOf(nowMs: number): Lane | undefined {
    if (lanes.length === 1) return plain.heap.size > 0 && plain.heap.nextDueAtMs <= nowMs ? plain : undefined;
    let first: Lane | undefined;
    let least = Infinity;
    for (const lane of lanes) {
      const dueAtMs = lane.heap.nextDueAtMs;
      if (dueAtMs > nowMs) continue;
      const rank = dueAtMs - lane.wish.priority * stepMs;
      if (rank < least) {
        least = rank;
        first = lane;
      }
    }
    return first;
  }

  return {
    get size() {
      let size = 0;
      for (const { heap } of lanes) size += heap.size;
      return size;
    },
    add(id, dueAtMs, wish) {
      laneOf(wish).heap.add(id, dueAtMs);
    },
    nextDueAtMs() {
      let next = Infinity;
      for (const { heap } of lanes) next = Math.min(next, heap.nextDueAtMs);
      return next === Infinity ? undefined : next;
    },
    take(nowMs) {
      const lane = firstOf(nowMs);
      if (lane === undefined) return undefined;
      const dueAtMs = lane.heap.nextDueAtMs;
      return { id: lane.heap.take(), dueAtMs, wish: lane.wish };
    },
    has: (id) => lanes.some(({ heap }) => heap.has(id)),
    remove: (id) => lanes.some(({ heap }) => heap.remove(id)),
    force(id) {
      const lane = lanes.find(({ heap }) => heap.remove(id));
      // No longer held: it has been let go.
      if (lane !== undefined) laneOf({ ...lane.wish, held: false }).heap.add(id, FORCED_MS);
      return lane !== undefined;
    },
    forceAll() {
      let count = 0;
      for (const { heap, wish } of lanes) {
        if (wish.held) continue;
        heap.setAll(FORCED_MS);
        count += heap.size;
      }
      return count;
    },
  };
}
