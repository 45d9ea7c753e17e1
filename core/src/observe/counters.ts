/** Counters by name: one call on the hot path, summed up elsewhere. Names are `room.what`, such as `smtp.accepted`. */
export interface Counters {
  add(name: string, by?: number): void;
}
