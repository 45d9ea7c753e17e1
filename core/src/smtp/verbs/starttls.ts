/**
 * STARTTLS (RFC 3207): 220, then the session throws away all it has read and asks its owner for TLS. What was said
 * before is forgotten once TLS is up, so an attacker in between can put no command into the secured session.
 */
import type { Reply } from '../../wire/reply.ts';
import type { Conversation } from '../conversation.ts';
import { alreadyTls503, notImplemented502, readyForTls220 } from '../replies.ts';

export function tlsCanBegin({ client, profile }: Conversation): Reply | undefined {
  if (client.tls !== undefined) return alreadyTls503;
  return profile.starttls ? undefined : notImplemented502;
}

export function beginTls(conversation: Conversation): Reply {
  conversation.endTransaction();
  return readyForTls220;
}
