/** Goes on with a value at once where it is there, and later where it is promised: no promise where nothing waits. */
export function when<T, U>(value: T | Promise<T>, then: (value: T) => U | Promise<U>): U | Promise<U> {
  return value instanceof Promise ? value.then(then) : then(value);
}
