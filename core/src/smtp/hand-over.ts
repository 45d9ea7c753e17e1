/**
 * Hands an accepted message to the sink: last edits of its header, the envelope, and the reply once it is on disk.
 * Called by smtp/acceptance for a message that nobody refused.
 */
import type { Envelope } from '../mail/envelope.ts';
import { countFields } from '../mail/header-scan.ts';
import { editHeader, type Cut, type HeaderEdit } from '../mail/header-edit.ts';
import { Reply } from '../wire/reply.ts';
import { envelopeOf, type Arrival } from './arrival.ts';
import type { Conversation } from './conversation.ts';
import type { Accepted } from './ports.ts';
import { type Refusals, replyToEach } from './recipient-verdicts.ts';
import { insufficientStorage452, localError451, ok250 } from './replies.ts';
import { fixUps } from './submission.ts';
import type { Transaction } from './transaction.ts';
import type { Answer } from './verdict.ts';

const NO_CUTS: readonly Cut[] = [];

/**
 * Stores the message for the recipients that are left; whom it was refused for is in the reply.
 * @param asked edits of plugins and of ours. @param refusals of single recipients, with PRDR or LMTP.
 */
export function store(
  arrival: Arrival,
  asked: readonly HeaderEdit[],
  quarantine: string | undefined,
  refusals: Refusals = [],
): Answer {
  const { conversation, transaction, writer, bytes, id, received, receivedAtMs } = arrival;
  // The peer left while the verdict was awaited: it will get no 250 and send again.
  if (conversation.over) return localError451;
  if (transaction.recipients.size === 0) {
    conversation.log('info', 'smtp.discarded', { message: id, reversePath: transaction.reversePath });
    return replyToEach(transaction, refusals, queuedReply(id));
  }
  const { reversePath } = transaction;
  const edits =
    conversation.profile.kind === 'submission'
      ? [...asked, ...fixUps(conversation, { reversePath, id, receivedAtMs, header: bytes.header })]
      : hasForeignReturnPath(arrival)
        ? [...asked, WITHOUT_RETURN_PATH]
        : asked;
  // Without a header of its own the message begins behind an empty line, or its first one would continue our last field.
  const end = bytes.header.length === 0 && bytes.sizeBytes > 0 ? '\r\n' : '';
  let head: Buffer;
  let cuts: readonly Cut[] = NO_CUTS;
  let cutBytes = 0;
  if (edits.length === 0) {
    head = Buffer.from(received + end, transaction.parameters.smtpUtf8 ? 'utf8' : 'latin1');
  } else {
    const edited = editHeader(bytes.header, edits);
    for (const one of edited.refused) conversation.log('warn', 'smtp.edit-refused', { message: id, ...one });
    head = Buffer.from(received + edited.prepend + end, 'utf8');
    cuts = edited.cuts;
    for (const cut of cuts) cutBytes += cut.to - cut.from;
  }
  const sizeBytes = head.length + bytes.sizeBytes - cutBytes;
  const envelope = envelopeOf(arrival, sizeBytes, quarantine);
  // From here on the writer is the sink's.
  transaction.release();
  return conversation.ports.sink.accept({ envelope, prepend: head, cuts, writer }).then((result) => {
    const reply = settle(conversation, transaction, envelope, result);
    return result.ok ? replyToEach(transaction, refusals, reply) : reply;
  });
}

const WITHOUT_RETURN_PATH: HeaderEdit = { edit: 'remove-header', name: 'Return-Path' };

/** A Return-Path that somebody else wrote, in mail that is all for mailboxes here: delivery puts the only one on top (RFC 5321 §4.4). */
function hasForeignReturnPath({ bytes, transaction }: Arrival): boolean {
  if (countFields(bytes.header, 'return-path') === 0) return false;
  return transaction.recipients.values().every(({ mailbox }) => mailbox !== undefined);
}

function settle(conversation: Conversation, transaction: Transaction, envelope: Envelope, result: Accepted): Reply {
  if (!result.ok) {
    const reply = result.why === 'full' ? insufficientStorage452 : localError451;
    conversation.logRefusal('data', reply, { message: envelope.id, cause: result.cause });
    return reply;
  }
  conversation.accepted += 1;
  // A report: it never delays the answer, and what it says changes nothing.
  void conversation.ports.hooks.queued?.({ envelope });
  conversation.ports.counters.add('smtp.accepted');
  conversation.log('info', 'smtp.accepted', {
    message: envelope.id,
    client: conversation.client.address,
    reversePath: envelope.reversePath,
    recipients: envelope.recipients.length,
    sizeBytes: envelope.sizeBytes,
    ...(transaction.forwarded === undefined ? {} : { forwarded: transaction.forwarded }),
    ...(envelope.quarantine === undefined ? {} : { quarantine: envelope.quarantine }),
    ...(envelope.priority === undefined ? {} : { priority: envelope.priority }),
    ...(envelope.hold === undefined ? {} : { holdUntilMs: envelope.hold.untilMs }),
  });
  return queuedReply(envelope.id);
}

function queuedReply(id: string): Reply {
  return new Reply(250, ok250.enhanced, `Ok: queued as ${id}`);
}
