/** The first reply of a session, at its start and after XCLIENT: the connect stage, and the banner it lets through. */
import { Reply } from '../wire/reply.ts';
import type { Conversation } from './conversation.ts';
import { afterVerdict, refuseOr, type Answer } from './verdict.ts';

/** Asks the connect stage. @returns 220, or what refuses the session (RFC 5321 §3.1) */
export function greet(conversation: Conversation): Answer {
  const { ports, profile } = conversation;
  return afterVerdict(ports.hooks.connect?.({ session: conversation.client.facts }) ?? null, (verdict) => {
    const refusal = refuseOr(conversation, 'connect', verdict);
    if (refusal === undefined) {
      conversation.findings.keep('connect', verdict);
      return new Reply(220, '', `${profile.hostname} ${profile.kind === 'lmtp' ? 'LMTP' : 'ESMTP'} Posthorn`);
    }
    // A banner has codes of its own: 421, 554 (then only QUIT is taken), 521 (RFC 7504).
    if (refusal.code < 500) return new Reply(421, refusal.enhanced, refusal.text, 'close');
    // Mail programs do not know it (RFC 6409 §7).
    if (refusal.code === 521 && profile.kind !== 'submission') return refusal;
    conversation.refused = true;
    return new Reply(554, refusal.enhanced, refusal.text);
  });
}
