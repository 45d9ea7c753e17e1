/**
 * From what a hook stage came to, to what the peer is told: the one place where a verdict becomes a reply.
 * Called by smtp/commands for the stages of commands, by smtp/greeting for connect and by smtp/acceptance for message.
 * Verdicts come at once or as a promise; nothing waits where nothing has to.
 */
import type { GivenEvidence, Stage, Verdict } from '../hook/contract.ts';
import { Reply } from '../wire/reply.ts';
import type { Conversation } from './conversation.ts';

/** A reply now or later. */
export type Answer = Reply | Promise<Reply>;

/** What a stage without any plugin says. */
export const NOTHING_TO_SAY: Verdict = { kind: 'pass', evidence: [], edits: [] };

/**
 * The reply for a verdict that refuses; undefined for one that lets pass.
 * A code of the wrong class is a plugin's slip and becomes the default; 421 and 521 close the session.
 */
export function refusalOf(verdict: Verdict): Reply | undefined {
  switch (verdict.kind) {
    case 'pass':
    case 'accept':
    case 'quarantine':
      return undefined;
    case 'reject':
      return refusal(verdict, '5', 550, '5.7.1', 'Refused by policy');
    case 'defer':
      return refusal(verdict, '4', 451, '4.7.1', 'Try again later');
    default:
      return assertNever(verdict.kind);
  }
}

function refusal(verdict: Verdict, kind: '4' | '5', defaultCode: number, defaultEnhanced: string, defaultText: string): Reply {
  const given = verdict.code ?? defaultCode;
  // 354 and the like aside: a reply of this class whose middle digit RFC 5321 §4.2.1 knows.
  const code = Number.isInteger(given) && String(given)[0] === kind && /^.[0-5]\d$/.test(String(given)) ? given : defaultCode;
  const enhanced =
    verdict.enhanced !== undefined && verdict.enhanced[0] === kind && /^\d\.\d{1,3}\.\d{1,3}$/.test(verdict.enhanced)
      ? verdict.enhanced
      : defaultEnhanced;
  const text = verdict.text === undefined || verdict.text.trim() === '' ? defaultText : verdict.text;
  return new Reply(code, enhanced, text, code === 421 || code === 521 ? 'close' : 'continue');
}

/**
 * Goes on once a stage's verdict is there.
 * @param asked what the stage's runner returned, or null where no plugin hooks the stage.
 */
export function afterVerdict(asked: Verdict | Promise<Verdict> | null, then: (verdict: Verdict) => Answer): Answer {
  if (asked === null) return then(NOTHING_TO_SAY);
  return asked instanceof Promise ? asked.then(then) : then(asked);
}

/** Adds evidence to what was gathered; the same finding of the same plugin counts once, however many recipients it was made for. */
export function gatherEvidence(gathered: GivenEvidence[], given: readonly GivenEvidence[]): void {
  for (const one of given) {
    const known = gathered.some((other) => other.plugin === one.plugin && other.name === one.name && other.weight === one.weight);
    if (!known) gathered.push(one);
  }
}

/** @returns the reply of a verdict that refuses, logged and counted; undefined when it lets pass. */
export function refuseOr(conversation: Conversation, stage: Stage | null, verdict: Verdict): Reply | undefined {
  const refusal = refusalOf(verdict);
  if (refusal !== undefined) {
    conversation.logRefusal(stage ?? 'none', refusal, { plugin: verdict.plugin, cause: verdict.cause });
  }
  return refusal;
}

export function assertNever(value: never): never {
  throw new TypeError(`unexpected ${String(value)}`);
}
