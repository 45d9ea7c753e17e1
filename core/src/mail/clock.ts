/** Time as an effect: engines and schedulers take a Clock, so that tests turn it by hand. */
export interface Clock {
  /** Milliseconds since 1970, may jump with the system's clock. For records and headers. */
  now(): number;
  /** Monotonic milliseconds. For deadlines. */
  monotonic(): number;
  /** Calls `then` once after `delayMs`; the returned function cancels. Timers never keep a process alive. */
  after(delayMs: number, then: () => void): () => void;
}
