/**
 * XCLIENT (Postfix, XCLIENT_README): a proxy that is trusted for it says whose session this is. From then on the client
 * is that one, for relay control, limits of plugins, the log and the trace header, and the session stands where it did
 * after the banner, which comes again. What belongs to the proxy alone (its login, its certificate) is forgotten.
 */
import type { Reply } from '../../wire/reply.ts';
import { type Attributes, parseAttributes, XCLIENT_NAMES } from '../client-attributes.ts';
import type { Conversation } from '../conversation.ts';
import { greet } from '../greeting.ts';
import { notAuthorized550, notDuringMail503 } from '../replies.ts';
import type { Answer } from '../verdict.ts';

export function mayNameClient(conversation: Conversation): Reply | undefined {
  if (!conversation.client.mayXclient) return notAuthorized550;
  return conversation.transaction === undefined ? undefined : notDuringMail503;
}

export const clientAttributes = (_conversation: Conversation, argument: string): Attributes | Reply =>
  parseAttributes(argument, XCLIENT_NAMES);

export function becomeClient(conversation: Conversation, attributes: Attributes): Answer {
  conversation.log('info', 'smtp.xclient', { proxy: conversation.client.door, ...Object.fromEntries(attributes) });
  conversation.becomes(attributes);
  return greet(conversation);
}
