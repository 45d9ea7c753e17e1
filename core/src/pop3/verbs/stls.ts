/** STLS (RFC 2595 §4): TLS from here on. What the client sent before is forgotten, what it sent ahead thrown away. */
import type { Conversation } from '../conversation.ts';
import { ok, refuse, type Outcome } from '../outcome.ts';

/** RFC 6856 §2.1: no client begins TLS behind UTF8, so who does it means harm, or lost count. */
export function tlsCanBegin(c: Conversation): Outcome | undefined {
  if (c.tls !== undefined) return refuse(c.texts.tlsIsOn);
  if (!c.profile.starttls) return refuse(c.texts.noTls);
  return c.utf8 ? refuse(c.texts.noTlsAfterUtf8) : undefined;
}

export function stls(c: Conversation): Outcome {
  return ok(c.texts.beginTls, { state: { at: 'authorization' }, after: 'startTls' });
}
