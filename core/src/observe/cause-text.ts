/** An error as a text for the log. JSON makes `{}` of an error, and its message alone often does not say what happened. */
import { inspect } from 'node:util';

const MAX_DEPTH = 5;

/**
 * @param cause whatever was thrown.
 * @returns its message and those of the errors behind it, as `fetch failed: connect ECONNREFUSED 127.0.0.1:443`.
 */
export function causeText(cause: unknown): string {
  const texts: string[] = [];
  let at = cause;
  // An error may lead back to itself.
  for (let depth = 0; at instanceof Error && depth < MAX_DEPTH; depth += 1) {
    const text = textOf(at);
    // Many a wrapper repeats what it wraps.
    if (!texts.some((before) => before.includes(text))) texts.push(text);
    // The addresses of a host were all tried in vain: the first says enough.
    at = at.cause ?? (at instanceof AggregateError ? (at.errors as unknown[])[0] : undefined);
  }
  if (at !== undefined && !(at instanceof Error))
    texts.push(typeof at === 'string' ? at : inspect(at, { depth: 1, breakLength: Infinity }));
  return texts.join(': ');
}

function textOf(error: Error): string {
  if (error.message !== '') return error.message;
  return 'code' in error && typeof error.code === 'string' ? error.code : error.name;
}
