/**
 * Whether there is room for a message in the mailboxes it is for. Asked by verbs/rcpt with the size that the client told,
 * and by smtp/acceptance with the one that came, where that is more.
 */
import type { Edit } from '../hook/contract.ts';
import type { Resolution } from '../directory/directory.ts';
import type { Reply } from '../wire/reply.ts';
import type { Arrival } from './arrival.ts';
import type { Conversation } from './conversation.ts';
import { mailboxFull452, mailboxFull552, tooLargeForMailbox552 } from './replies.ts';

const FULL = { defer: mailboxFull452, reject: mailboxFull552, never: tooLargeForMailbox552 } as const;
const NOBODY: readonly Edit[] = [];

/** The refusal where nobody behind a recipient has room for the message, as far as its size is told. */
export function refuseFull({ ports, transaction }: Conversation, resolution: Resolution): Reply | undefined {
  if (resolution.is !== 'known') return undefined;
  const sizeBytes = transaction!.parameters.sizeBytes ?? 0;
  let refusal: Reply | undefined;
  for (const target of resolution.targets) {
    const full = target.to === 'mailbox' ? ports.full(target.mailbox, sizeBytes) : undefined;
    if (full === undefined) return undefined;
    // One who may have room later is worth another try.
    if (refusal !== mailboxFull452) refusal = FULL[full];
  }
  return refusal;
}

/**
 * A refusal for each mailbox without room for a message that is larger than its client told: a bounce for it would go to
 * whom a forged sender names. Postmaster gets it in any case (RFC 5321 §4.5.1).
 */
export function withoutRoom({ conversation, transaction, bytes }: Arrival): readonly Edit[] {
  if (bytes.sizeBytes <= (transaction.parameters.sizeBytes ?? 0)) return NOBODY;
  const refusals: Edit[] = [];
  for (const { address, original = address, mailbox } of transaction.recipients.values()) {
    const full = mailbox === undefined ? undefined : conversation.ports.full(mailbox, bytes.sizeBytes);
    if (full === undefined || isPostmaster(original)) continue;
    const { code, enhanced, text } = FULL[full];
    refusals.push({ edit: full === 'defer' ? 'defer-recipient' : 'reject-recipient', address, code, enhanced, text });
  }
  return refusals.length === 0 ? NOBODY : refusals;
}

function isPostmaster(address: string): boolean {
  return /^postmaster(@|$)/i.test(address);
}
