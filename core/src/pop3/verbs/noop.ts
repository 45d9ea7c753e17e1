/** NOOP (RFC 1939 §5). */
import { ok, type Outcome } from '../outcome.ts';

export function noop(): Outcome {
  return ok('');
}
