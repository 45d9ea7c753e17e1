/**
 * XFORWARD (Postfix, XFORWARD_README): a server that passes mail on through us, such as through a filter, says where the
 * next message came from. That goes into the log beside the message, and changes nothing else.
 */
import type { Reply } from '../../wire/reply.ts';
import { type Attributes, parseAttributes, XFORWARD_NAMES } from '../client-attributes.ts';
import type { Conversation } from '../conversation.ts';
import { notAuthorized550, notDuringMail503, ok250 } from '../replies.ts';

export function mayTellOrigin(conversation: Conversation): Reply | undefined {
  if (!conversation.client.mayXforward) return notAuthorized550;
  return conversation.transaction === undefined ? undefined : notDuringMail503;
}

export const originAttributes = (_conversation: Conversation, argument: string): Attributes | Reply =>
  parseAttributes(argument, XFORWARD_NAMES);

export function keepAttributes(conversation: Conversation, attributes: Attributes): Reply {
  // Several commands add up: one line may not hold all.
  conversation.forwarded = { ...conversation.forwarded, ...Object.fromEntries(attributes) };
  return ok250;
}
