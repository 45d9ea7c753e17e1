/**
 * A verdict for each recipient at the end of data: a plugin's `reject-recipient` and `defer-recipient`, and our own where
 * quarantined mail would leave, told to clients that asked for it (PRDR, draft-hall-prdr). Called by smtp/acceptance. A
 * client that reads one reply only can be told of one verdict only: there the edits count when they are for all
 * recipients; else the message goes to all, since a refusal that nobody is told of would lose mail, and a bounce for it
 * would go to whom a forged sender names.
 */
import type { Edit } from '../hook/contract.ts';
import { Reply } from '../wire/reply.ts';
import type { Conversation } from './conversation.ts';
import { eachRecipient353, recipientTakes250 } from './replies.ts';
import type { Transaction } from './transaction.ts';
import { refusalOf } from './verdict.ts';

/** For each accepted RCPT, in their order: why it does not get the message, or undefined when it does. */
export type Refusals = readonly (Reply | undefined)[];

const NOBODY: Refusals = [];

/**
 * Takes those recipients out of the transaction that are refused.
 * @returns what each RCPT comes to; `everybody` when nobody is left.
 */
export function refuseRecipients(
  conversation: Conversation,
  transaction: Transaction,
  edits: readonly Edit[],
): { readonly refusals: Refusals; readonly everybody: Reply | undefined } {
  const refused = new Map<string, Reply>();
  const causes = new Map<Reply, string | undefined>();
  for (const edit of edits) {
    if (edit.edit !== 'reject-recipient' && edit.edit !== 'defer-recipient') continue;
    const key = edit.address.toLowerCase();
    const reply = refusalOf({ ...edit, kind: edit.edit === 'reject-recipient' ? 'reject' : 'defer', evidence: [], edits: [] });
    if (reply === undefined || refused.has(key)) continue;
    refused.set(key, reply);
    causes.set(reply, edit.cause);
  }
  if (refused.size === 0) return { refusals: NOBODY, everybody: undefined };
  // Where each RCPT leads: an address may be reached by two of them, and be refused under either name.
  const led = transaction.accepted.map((address) => {
    const resolution = conversation.ports.directory.resolve(address);
    const targets = resolution.is === 'known' ? resolution.targets.map((target) => target.address.toLowerCase()) : [];
    return { own: refused.get(address.toLowerCase()), targets: targets.length === 0 ? [address.toLowerCase()] : targets };
  });
  const refusals = led.map(
    ({ own, targets }) => own ?? (targets.every((target) => refused.has(target)) ? refused.get(targets[0]!) : undefined),
  );
  const everybody = refusals.includes(undefined) ? undefined : worst(refusals);
  if (everybody === undefined && !transaction.answersEach) {
    conversation.log('info', 'smtp.recipient-verdicts-unheard', { recipients: [...refused.keys()] });
    return { refusals: NOBODY, everybody };
  }
  const log = (reply: Reply | undefined, recipient: string | undefined): void => {
    if (reply !== undefined) conversation.logRefusal('message', reply, { recipient, cause: causes.get(reply) });
  };
  for (const [index, reply] of refusals.entries()) log(reply, transaction.accepted[index]);
  const wanted = new Set(led.flatMap(({ targets }, index) => (refusals[index] === undefined ? targets : [])));
  const named = new Set(led.flatMap(({ targets }) => targets));
  for (const key of transaction.recipients.keys()) {
    const address = key.toLowerCase();
    // What a plugin added belongs to no RCPT.
    if (!refused.has(address) && (!named.has(address) || wanted.has(address))) continue;
    transaction.recipients.delete(key);
    // Its RCPT leads to others as well, and was not refused: the log alone tells.
    if (wanted.has(address)) log(refused.get(address), key);
  }
  return { refusals, everybody };
}

/** @returns `overall`, behind the reply for each recipient where the client asked for those. */
export function replyToEach(transaction: Transaction, refusals: Refusals, overall: Reply): Reply {
  if (!transaction.answersEach) return overall;
  if (transaction.isLmtp) {
    transaction.repliedToEach = true;
    return Reply.block(transaction.accepted.map((_address, index) => refusals[index] ?? overall));
  }
  const each = transaction.accepted.map((_address, index) => refusals[index] ?? recipientTakes250);
  return Reply.block([eachRecipient353, ...each, overall]);
}

/** @returns what became of the message as a whole, once for each recipient over LMTP, unless each was replied to already. */
export function replyForAll(transaction: Transaction, reply: Reply): Reply {
  const { isLmtp, repliedToEach, accepted } = transaction;
  if (!isLmtp || repliedToEach || accepted.length === 0 || reply.after === 'close') return reply;
  return Reply.block(accepted.map(() => reply));
}

/** The reply for all of them: temporary if one is, since the client may look at nothing else. */
function worst(refusals: Refusals): Reply | undefined {
  return refusals.find((reply) => reply !== undefined && reply.code < 500) ?? refusals[0];
}
