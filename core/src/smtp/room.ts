/**
 * Whether there is room for a message in the mailboxes it is for. Asked by verbs/rcpt with the size that the client told,
 * and by smtp/acceptance with the one that came, where that is more.
 */
import type { Edit } from '../hook/contract.ts';
import type { Resolution } from '../directory/directory.ts';
import type { Reply } from '../wire/reply.ts';
import type { Arrival } from './arrival.ts';
import type { SmtpPorts } from './ports.ts';
import { mailboxFull452, mailboxFull552, tooLargeForMailbox552 } from './replies.ts';

const FULL = { defer: mailboxFull452, reject: mailboxFull552, never: tooLargeForMailbox552 } as const;
const NOBODY: readonly Edit[] = [];

/** The refusal where nobody behind a recipient has room for a message of this size. */
export function refuseFull(ports: SmtpPorts, resolution: Resolution, sizeBytes: number): Reply | undefined {
  if (resolution.is !== 'known') return undefined;
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
 * A refusal for everybody behind a recipient with whom there is no room for a message that is larger than its client told: a
 * bounce for it would go to whom a forged sender names. One who is full among others is delivery's, which tries again or
 * tells: here nobody would hear of it. Postmaster gets it in any case (RFC 5321 §4.5.1).
 */
export function withoutRoom({ conversation, transaction, bytes }: Arrival): readonly Edit[] {
  const { ports } = conversation;
  const { sizeBytes } = bytes;
  const { accepted, parameters, recipients } = transaction;
  const isFull = (mailbox: string | undefined): boolean => mailbox !== undefined && ports.full(mailbox, sizeBytes) !== undefined;
  if (sizeBytes <= (parameters.sizeBytes ?? 0) || !recipients.values().some(({ mailbox }) => isFull(mailbox))) return NOBODY;
  const refused = new Map<string, Reply>();
  const kept = new Set<string>();
  for (const address of accepted) {
    const resolution = ports.directory.resolve(address);
    const reply = isPostmaster(address) ? undefined : refuseFull(ports, resolution, sizeBytes);
    for (const target of resolution.is === 'known' ? resolution.targets : []) {
      if (reply === undefined) kept.add(target.address);
      else refused.set(target.address, reply);
    }
  }
  for (const address of kept) refused.delete(address);
  return [...refused].map(([address, { code, enhanced, text }]) => ({
    edit: code < 500 ? 'defer-recipient' : 'reject-recipient',
    address,
    code,
    enhanced,
    text,
  }));
}

function isPostmaster(address: string): boolean {
  return /^postmaster(@|$)/i.test(address);
}
