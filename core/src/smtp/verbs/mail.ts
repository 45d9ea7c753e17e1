/**
 * MAIL (RFC 5321 §4.1.1.2): begins a transaction. A declared SIZE over the limit is refused here (RFC 1870 §6.1), before
 * any byte of the message came. On a submission listener the client has to log in first (RFC 6409 §4.3).
 */
import type { Verdict } from '../../hook/contract.ts';
import { isAscii, parsePath } from '../../wire/address.ts';
import { Reply } from '../../wire/reply.ts';
import { decodeUtf8 } from '../../wire/utf8.ts';
import type { Conversation } from '../conversation.ts';
import { parseMailParameters, type MailParameters } from '../parameters.ts';
import {
  authenticationRequired530,
  badSender501,
  helloFirst503,
  lhloFirst503,
  mailSyntax501,
  messageTooLarge552,
  nestedMail503,
  notUtf8501,
  senderOk250,
  senderOkPriority250,
  senderTooLong501,
  startTlsFirst530,
  tooManyMessages421,
  unicodeParameter501,
  unicodeSender553,
} from '../replies.ts';
import { refuseReversePath } from '../submission.ts';
import { Transaction } from '../transaction.ts';
import { gatherEvidence } from '../verdict.ts';

interface MailArguments {
  readonly reversePath: string;
  readonly parameters: MailParameters;
}

export function mayBegin(conversation: Conversation): Reply | undefined {
  const { profile, client } = conversation;
  if (client.helo === undefined) return conversation.isLmtp ? lhloFirst503 : helloFirst503;
  if (conversation.transaction !== undefined) return nestedMail503;
  if (profile.kind === 'submission' && client.user === undefined) {
    return client.maySendPassword || !client.mayStartTls ? authenticationRequired530 : startTlsFirst530;
  }
  return conversation.transactions >= profile.limits.maxMessages ? tooManyMessages421 : undefined;
}

export function sender(conversation: Conversation, bytes: string): MailArguments | Reply {
  const { profile } = conversation;
  const argument = decodeUtf8(bytes);
  if (argument === undefined) return notUtf8501;
  const from = pathStart(argument, 'FROM:');
  if (from < 0) return mailSyntax501;
  const path = parsePath(argument, from, 'nothing');
  if (!path.ok) return { syntax: badSender501, 'too-long': senderTooLong501 }[path.problem];
  const parameters = parseMailParameters(argument.slice(path.end), conversation);
  if (parameters instanceof Reply) return parameters;
  if (!parameters.smtpUtf8 && argument !== bytes)
    return isAscii(argument.slice(from, path.end)) ? unicodeParameter501 : unicodeSender553;
  if ((parameters.sizeBytes ?? 0) > profile.limits.maxMessageBytes) return messageTooLarge552;
  const reversePath = path.address?.text ?? '';
  const refusal = refuseReversePath(conversation, path.address);
  if (refusal === undefined) return { reversePath, parameters };
  conversation.logRefusal('mail', refusal, { reversePath });
  return refusal;
}

export function askMail(
  conversation: Conversation,
  { reversePath, parameters }: MailArguments,
): Verdict | Promise<Verdict> | null {
  return (
    conversation.ports.hooks.mail?.({ session: conversation.client.facts, reversePath, sizeBytes: parameters.sizeBytes }) ?? null
  );
}

export function beginTransaction(
  conversation: Conversation,
  { reversePath, parameters }: MailArguments,
  verdict: Verdict,
): Reply {
  const transaction = new Transaction(reversePath, parameters, conversation.isLmtp);
  transaction.forwarded = conversation.forwarded;
  conversation.forwarded = undefined;
  gatherEvidence(transaction.evidence, verdict.evidence);
  if (verdict.kind === 'quarantine') transaction.quarantine = verdict.text ?? 'quarantined by policy';
  conversation.transaction = transaction;
  conversation.transactions += 1;
  return parameters.priorityLowered ? senderOkPriority250 : senderOk250;
}

/**
 * @param keyword `FROM:` or `TO:`, in any case.
 * @returns where the path begins, or -1. Blanks after the colon are wrong (RFC 5321 §3.3) and common, so they are taken.
 */
export function pathStart(argument: string, keyword: string): number {
  if (argument.slice(0, keyword.length).toUpperCase() !== keyword) return -1;
  let at = keyword.length;
  while (argument.charCodeAt(at) === 32) at += 1;
  return at;
}
