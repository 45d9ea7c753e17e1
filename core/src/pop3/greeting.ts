/** What a client is told first: the greeting, after stage pop3.connect. No language can have been chosen yet. */
import { apopIsUsable } from './verbs/apop.ts';
import type { Conversation } from './conversation.ts';
import { ok, refusalOf, type Outcome } from './outcome.ts';
import { when } from './when.ts';

export function greet(c: Conversation): Outcome | Promise<Outcome> {
  const verdict = c.ports.hooks['pop3.connect']?.({ session: c.facts });
  return verdict === undefined
    ? greeting(c)
    : when(verdict, (answer) => {
        const refusal = refusalOf(c, answer);
        return refusal === undefined ? greeting(c) : { ...refusal, after: 'close' };
      });
}

/** With a timestamp that no other connection gets (RFC 1939 §7), where somebody can answer it. */
function greeting(c: Conversation): Outcome {
  const { hostname } = c.profile;
  const ready = `${hostname} Posthorn POP3 server ready`;
  if (!apopIsUsable(c)) return ok(ready);
  c.timestamp = `<${c.ports.authenticator.nonce()}@${hostname}>`;
  return ok(`${ready} ${c.timestamp}`);
}
