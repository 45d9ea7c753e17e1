/**
 * The probability that a message is spam, out of the counts of its tokens: Robinson's smoothed token probabilities,
 * combined with Fisher's method (chi-square over both hypotheses), as in G. Robinson, "A Statistical Approach to the Spam
 * Problem" (2003). Pure: a model and tokens in, a number and the tokens that told most out.
 */
import { hashToken } from './hash.ts';
import type { Counts, Model } from './model.ts';

/** How strongly an unknown or rare token is drawn to 0.5, in messages. */
const STRENGTH = 0.05;
/** Tokens nearer to 0.5 than this say nothing and only water the rest down. */
const MIN_DEVIATION = 0.35;
/**
 * Tokens of a mail come in company (a phrase, a signature), so n of them are worth fewer independent ones: Robinson's
 * effective size factor. It spreads the probabilities out without changing their order much.
 */
const EFFECTIVE_SIZE = 0.5;

export interface TellingToken {
  readonly token: string;
  /** 0 is ham, 1 is spam. */
  readonly probability: number;
}

export interface Classification {
  /** 0 is ham, 1 is spam; 0.5 where the tokens say nothing. */
  readonly probability: number;
  /** Tokens that counted, the most telling ones first. */
  readonly telling: readonly TellingToken[];
}

/**
 * Classifies a message by its tokens.
 * @param tellingLimit how many telling tokens to return; all that deviate are counted.
 */
export function classify(model: Model, tokens: Iterable<string>, tellingLimit = 8): Classification {
  if (model.spamMessages === 0 || model.hamMessages === 0) return { probability: 0.5, telling: [] };
  const counts: Counts = { spam: 0, ham: 0 };
  const telling: TellingToken[] = [];
  let spamLog = 0;
  let hamLog = 0;
  for (const token of tokens) {
    model.find(hashToken(token), counts);
    const seen = counts.spam + counts.ham;
    if (seen === 0) continue;
    const inSpam = counts.spam / model.spamMessages;
    const raw = inSpam / (inSpam + counts.ham / model.hamMessages);
    const probability = (STRENGTH * 0.5 + seen * raw) / (STRENGTH + seen);
    if (Math.abs(probability - 0.5) < MIN_DEVIATION) continue;
    spamLog += Math.log(probability);
    hamLog += Math.log(1 - probability);
    telling.push({ token, probability });
  }
  if (telling.length === 0) return { probability: 0.5, telling };
  const size = Math.max(1, Math.round(telling.length * EFFECTIVE_SIZE));
  const notSpam = Math.exp(logChiSquareTail(-2 * spamLog * EFFECTIVE_SIZE, size));
  const notHam = Math.exp(logChiSquareTail(-2 * hamLog * EFFECTIVE_SIZE, size));
  telling.sort((a, b) => Math.abs(b.probability - 0.5) - Math.abs(a.probability - 0.5));
  return { probability: (1 + notSpam - notHam) / 2, telling: telling.slice(0, tellingLimit) };
}

/**
 * Natural logarithm of the chance that chi-square with 2 × `pairs` degrees of freedom exceeds `value`:
 * e^(-m) × Σ m^i / i! for i < pairs, m = value / 2, summed in logarithms because e^(-m) alone underflows.
 */
export function logChiSquareTail(value: number, pairs: number): number {
  const half = value / 2;
  if (half <= 0) return 0;
  // The largest term is at i = half or at the last one: scaled by it, the others neither overflow nor vanish wrongly.
  const top = Math.min(pairs - 1, Math.floor(half));
  let topLog = -half;
  for (let i = 1; i <= top; i++) topLog += Math.log(half / i);
  let sum = 1;
  for (let i = top, term = 1; i >= 1 && term > 1e-17; i--) sum += term *= i / half;
  for (let i = top + 1, term = 1; i < pairs && term > 1e-17; i++) sum += term *= half / i;
  return Math.min(0, topLog + Math.log(sum));
}
