/**
 * XFORWARD (Postfix, XFORWARD_README): a server that passes mail on through us, such as through a filter, says where the
 * next message came from. That goes into the log beside the message, and changes nothing else.
 */
import type { Command } from '../command.ts';
import { asksNobody } from '../command.ts';
import { type Attributes, parseAttributes, XFORWARD_NAMES } from '../client-attributes.ts';
import { notAuthorized550, notDuringMail503, ok250 } from '../replies.ts';

export const xforward: Command<Attributes> = {
  verb: 'XFORWARD',
  stage: null,
  rule: (conversation) => {
    if (!conversation.mayXforward) return notAuthorized550;
    return conversation.transaction === undefined ? undefined : notDuringMail503;
  },
  check: (_conversation, argument) => parseAttributes(argument, XFORWARD_NAMES),
  ask: asksNobody,
  proceed: (conversation, attributes) => {
    // Several commands add up: one line may not hold all.
    conversation.forwarded = { ...conversation.forwarded, ...Object.fromEntries(attributes) };
    return ok250;
  },
};
