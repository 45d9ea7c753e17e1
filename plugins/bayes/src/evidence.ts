/**
 * A classification in the words of the pipeline: a name such as BAYES_99, a weight, and a reason that shows the tokens
 * that told most. Tokens are the sender's words: nothing but plain ASCII of them gets into the reason.
 */
import type { Evidence } from '@posthorn/sdk';
import type { Classification } from './classify.ts';
import type { Options } from './options.ts';

/** Lower bound of the probability, name, and share of the full weight. The middle says nothing. */
const STEPS = [
  { from: 0.99, name: 'BAYES_99', share: 1 },
  { from: 0.95, name: 'BAYES_95', share: 0.8 },
  { from: 0.8, name: 'BAYES_80', share: 0.5 },
  { from: 0.6, name: 'BAYES_60', share: 0.3 },
  { from: 0.4, name: 'BAYES_50', share: 0 },
  { from: 0.2, name: 'BAYES_40', share: -0.1 },
  { from: 0.05, name: 'BAYES_20', share: -0.3 },
  { from: 0.01, name: 'BAYES_05', share: -0.6 },
  { from: 0, name: 'BAYES_00', share: -1 },
] as const;

const SHOWN_TOKENS = 6;
const SHOWN_LENGTH = 24;

/** @returns the evidence, or undefined where the message looks as much like spam as like ham. */
export function toEvidence(classification: Classification, options: Options): Evidence | undefined {
  const step = STEPS.find(({ from }) => classification.probability >= from) ?? STEPS[STEPS.length - 1]!;
  const weight = Math.round(step.share * (step.share > 0 ? options.spamWeight : options.hamWeight) * 100) / 100;
  if (step.share === 0 || weight === 0) return undefined;
  const shown = classification.telling
    .filter(({ probability }) => probability > 0.5 === step.share > 0)
    .map(({ token }) => readable(token))
    .filter((token) => token.length > 1)
    .slice(0, SHOWN_TOKENS);
  const words = shown.length > 0 ? `: ${shown.join(' ')}` : '';
  return { name: step.name, weight, reason: `${classification.probability.toFixed(3)}${words}` };
}

function readable(token: string): string {
  return /^[a-z0-9$:/.@_-]+$/i.test(token) ? token.slice(0, SHOWN_LENGTH) : '';
}
