/**
 * Calls one hook and makes an outcome of whatever happens: the same for inline plugins, plugin threads and the SDK's
 * test kit. Never throws and never rejects, whatever the plugin throws, returns or hides behind a getter.
 */
import { checkAnswer, cleanText } from './answer.ts';
import type { Stage } from './contract.ts';
import type { Failure, Outcome } from './host.ts';

/** @returns the outcome at once when the hook answers at once. The deadline is the caller's. */
export function callHook(stage: Stage, hook: () => unknown): Outcome | Promise<Outcome> {
  try {
    const answer = hook();
    if (!isThenable(answer)) return outcomeOf(stage, answer);
    return Promise.resolve(answer).then((late) => outcomeOf(stage, late), threw);
  } catch (error) {
    return threw(error);
  }
}

function outcomeOf(stage: Stage, answer: unknown): Outcome {
  const results = checkAnswer(stage, answer);
  return typeof results === 'string' ? { failed: 'nonsense', cause: results } : { results };
}

function threw(error: unknown): Failure {
  return { failed: 'threw', cause: describe(error) };
}

function isThenable(answer: unknown): answer is PromiseLike<unknown> {
  return typeof answer === 'object' && answer !== null && typeof (answer as { then?: unknown }).then === 'function';
}

/** A thrown value as one line. Plugins throw anything, even what cannot be made a text. */
export function describe(error: unknown): string {
  try {
    if (!(error instanceof Error)) return cleanText(`threw ${typeof error}: ${String(error)}`);
    return cleanText(`${error.name}: ${error.message}`) + placeOf(error);
  } catch {
    return `threw ${typeof error} that cannot be shown`;
  }
}

/** The line of the operator's own plugin file, for its author. The loader marks such files by `?changed=`. */
function placeOf(error: Error): string {
  const frame = /\/([\w.-]+)\?changed=[\d.]+:(\d+):\d+/.exec(String(error.stack));
  return frame === null ? '' : ` (${frame[1]}:${frame[2]})`;
}
