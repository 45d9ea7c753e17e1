/**
 * DATA (RFC 5321 §4.1.1.4): from here on the bytes are a message's. Room for it is asked for before 354, so that a full
 * disk refuses the message before it is sent. What happens at the closing dot: smtp/acceptance.ts.
 */
import type { Reply } from '../../wire/reply.ts';
import type { Verdict } from '../../hook/contract.ts';
import type { Conversation } from '../conversation.ts';
import {
  bdatBegun503,
  bdatNeeded503,
  mailFirst503,
  noArgumentAllowed501,
  noRecipients503,
  noRecipients554,
  startMail354,
} from '../replies.ts';
import { beginReception, Reception } from '../reception.ts';
import type { Transaction } from '../transaction.ts';

export function takesData({ transaction, isLmtp }: Conversation): Reply | undefined {
  if (transaction === undefined) return mailFirst503;
  if (transaction.hasChunks) return bdatBegun503;
  // RFC 3030 §3: lines cannot carry it.
  if (transaction.parameters.body === 'binarymime') return bdatNeeded503;
  // A plugin may have taken the only recipient out again: that message is received, and goes nowhere.
  if (transaction.accepted.length > 0) return undefined;
  // RFC 2033 §4.2.
  return isLmtp ? noRecipients503 : noRecipients554;
}

export function noArgumentToData({ transaction }: Conversation, argument: string): Transaction | Reply {
  return argument === '' ? transaction! : noArgumentAllowed501;
}

export function askData(conversation: Conversation, transaction: Transaction): Verdict | Promise<Verdict> | null {
  return (
    conversation.ports.hooks.data?.({
      session: conversation.client.facts,
      reversePath: transaction.reversePath,
      recipients: [...transaction.recipients.keys()],
    }) ?? null
  );
}

export function takeMessage(conversation: Conversation, transaction: Transaction, verdict: Verdict): Reply {
  const reception = beginReception(conversation, transaction, verdict, 'dot');
  if (!(reception instanceof Reception)) return reception;
  conversation.read({ of: 'message', reception });
  return startMail354;
}
