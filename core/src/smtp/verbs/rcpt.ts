/**
 * RCPT (RFC 5321 §4.1.1.3): one recipient. Relay control is here and nowhere else: an address that is not ours is taken
 * only from clients that may relay, so a server without `relay.from` and without users relays nothing. Limits before
 * plugins, plugins before acceptance; aliases are expanded when the recipient is taken.
 */
import type { Verdict } from '../../hook/contract.ts';
import type { Resolution } from '../../directory/directory.ts';
import { isAscii, parsePath, type Address } from '../../wire/address.ts';
import { Reply } from '../../wire/reply.ts';
import { decodeUtf8 } from '../../wire/utf8.ts';
import type { Conversation } from '../conversation.ts';
import { parseRcptParameters, type RcptParameters } from '../parameters.ts';
import {
  badRecipient501,
  bdatBegun503,
  mailboxUnavailable550,
  mailFirst503,
  notUtf8501,
  rcptSyntax501,
  recipientOk250,
  recipientTooLong501,
  relayDenied554,
  tooManyDomains452,
  tooManyRecipients452,
  unicodeParameter501,
  unicodeRecipient553,
} from '../replies.ts';
import { editRecipients } from '../recipient-edits.ts';
import { refuseFull } from '../room.ts';
import { refusePartialRecipient } from '../submission.ts';
import type { Transaction } from '../transaction.ts';
import { gatherEvidence } from '../verdict.ts';
import { pathStart } from './mail.ts';

interface RcptArguments {
  readonly transaction: Transaction;
  readonly address: Address;
  readonly resolution: Resolution;
  readonly parameters: RcptParameters;
}

export function takesRecipients({ transaction }: Conversation): Reply | undefined {
  return transaction === undefined ? mailFirst503 : transaction.hasChunks ? bdatBegun503 : undefined;
}

export function recipient(conversation: Conversation, bytes: string): RcptArguments | Reply {
  const argument = decodeUtf8(bytes);
  if (argument === undefined) return notUtf8501;
  const from = pathStart(argument, 'TO:');
  if (from < 0) return rcptSyntax501;
  const path = parsePath(argument, from, 'postmaster');
  if (!path.ok) return { syntax: badRecipient501, 'too-long': recipientTooLong501 }[path.problem];
  const { smtpUtf8 } = conversation.transaction!.parameters;
  if (!smtpUtf8 && !isAscii(argument.slice(from, path.end))) return unicodeRecipient553;
  const { address } = path;
  if (address === null) return badRecipient501;
  if (!smtpUtf8 && argument !== bytes) return unicodeParameter501;
  const parameters = parseRcptParameters(argument.slice(path.end), conversation);
  if (parameters instanceof Reply) return parameters;
  const transaction = conversation.transaction!;
  const { maxRecipients, maxRecipientDomains } = conversation.profile.limits;
  if (transaction.accepted.length >= maxRecipients) return tooManyRecipients452;
  if (maxRecipientDomains > 0 && !transaction.hasRoomForDomain(address.domain, maxRecipientDomains)) return tooManyDomains452;
  const partial = refusePartialRecipient(conversation, address);
  if (partial !== undefined) return refuse(conversation, transaction, address, partial);
  const resolution = conversation.ports.directory.resolve(address.text);
  if (resolution.is === 'unknown') return refuse(conversation, transaction, address, mailboxUnavailable550);
  if (resolution.is === 'foreign' && !conversation.client.mayRelay)
    return refuse(conversation, transaction, address, relayDenied554);
  const full = isPostmaster(address, resolution)
    ? undefined
    : refuseFull(conversation.ports, resolution, transaction.parameters.sizeBytes ?? 0);
  if (full !== undefined) return refuse(conversation, transaction, address, full);
  return { transaction, address, resolution, parameters };
}

function isPostmaster(address: Address, resolution: Resolution): boolean {
  return resolution.is === 'known' && address.local.toLowerCase() === 'postmaster';
}

export function askRcpt(
  conversation: Conversation,
  { transaction, address, resolution }: RcptArguments,
): Verdict | Promise<Verdict> | null {
  const run = conversation.ports.hooks.rcpt;
  if (run === null) return null;
  const { reversePath } = transaction;
  const asked = run({ session: conversation.client.facts, reversePath, recipient: address.text });
  if (!isPostmaster(address, resolution)) return asked;
  return asked instanceof Promise
    ? asked.then((verdict) => sparePostmaster(conversation, verdict))
    : sparePostmaster(conversation, asked);
}

export function addRecipient(
  conversation: Conversation,
  { transaction, address, resolution, parameters }: RcptArguments,
  verdict: Verdict,
): Reply {
  transaction.accepted.push(address.text);
  if (conversation.profile.limits.maxRecipientDomains > 0) transaction.domains.add(address.domain);
  transaction.addRecipient(address.text, resolution, parameters);
  if (verdict.edits.length > 0) editRecipients(conversation, transaction, verdict.edits);
  gatherEvidence(transaction.evidence, verdict.evidence);
  if (verdict.kind === 'quarantine') transaction.quarantine ??= verdict.text ?? 'quarantined by policy';
  return recipientOk250;
}

/**
 * Whoever has trouble with this server can write to its postmaster (RFC 5321 §4.5.1): what a plugin has against the client
 * is no reason, what it has against the message later on may be one.
 */
function sparePostmaster(conversation: Conversation, verdict: Verdict): Verdict {
  if (verdict.kind !== 'reject' && verdict.kind !== 'defer') return verdict;
  conversation.log('info', 'smtp.postmaster-spared', { plugin: verdict.plugin, kind: verdict.kind, text: verdict.text });
  return { kind: 'pass', evidence: verdict.evidence, edits: [] };
}

function refuse(conversation: Conversation, transaction: Transaction, address: Address, reply: Reply): Reply {
  conversation.logRefusal('rcpt', reply, { reversePath: transaction.reversePath, recipient: address.text });
  return reply;
}
