/**
 * Sums up the evidence of a message and says what it comes to: pass, tag, quarantine or reject, with one header value
 * that explains it. Called by the SMTP session after stage `message`. Pure. The header never carries anything but
 * printable ASCII in lines under 78 columns, whatever plugins gave.
 */
import type { Scoring } from '../smtp/ports.ts';
import { cleanText } from './answer.ts';
import type { GivenEvidence } from './contract.ts';

/** Columns of a line without CRLF (RFC 5322 §2.1.1 wants 78 at the most). */
const LINE_COLUMNS = 76;
const MOST_REASON = 48;
/** Evidence that is shown; the rest is counted. */
const MOST_SHOWN = 50;

export interface ScoringThresholds {
  /** Score from which a message is tagged, put into quarantine or rejected; null: never. */
  readonly tag: number | null;
  readonly quarantine: number | null;
  readonly reject: number | null;
}

/** Makes the scoring for these thresholds. A message that a plugin accepted passes, whatever its score. */
export function createScoring(thresholds: ScoringThresholds): Scoring {
  const reached = (score: number, threshold: number | null) => threshold !== null && score >= threshold;
  return (verdict) => {
    const score = rounded(verdict.evidence.reduce((sum, { weight }) => sum + weight, 0));
    const action =
      verdict.kind === 'accept'
        ? 'pass'
        : reached(score, thresholds.reject)
          ? 'reject'
          : reached(score, thresholds.quarantine)
            ? 'quarantine'
            : reached(score, thresholds.tag)
              ? 'tag'
              : 'pass';
    return { action, score, explanation: verdict.evidence.length === 0 ? '' : explain(action, score, verdict.evidence) };
  };
}

/** Sums such as 0.1 + 0.2 must not show, nor miss a threshold, by their last bits. */
function rounded(score: number): number {
  return Math.round(score * 1000) / 1000;
}

function explain(action: string, score: number, evidence: readonly GivenEvidence[]): string {
  const lines = [`${score} (${action})`];
  for (const one of evidence.slice(0, MOST_SHOWN)) {
    const start = `${ascii(one.name)}=${rounded(one.weight)}`;
    const reason = ascii(cleanText(one.reason, MOST_REASON)).replaceAll(/[()\\]/g, "'");
    const whole = reason === '' ? `${start};` : `${start} (${reason});`;
    lines.push(whole.length < LINE_COLUMNS ? whole : `${start.slice(0, LINE_COLUMNS - 2)};`);
  }
  if (evidence.length > MOST_SHOWN) lines.push(`and ${evidence.length - MOST_SHOWN} more`);
  return lines.join('\r\n\t');
}

function ascii(text: string): string {
  return text.replaceAll('…', '...').replaceAll(/[^\x20-\x7e]/g, '?');
}
