/**
 * The end of data: decides on a message that is wholly here, and hands it to the sink. Called by smtp/intake at
 * CRLF.CRLF, by smtp/chunk after the last chunk. Order: form, hops, stage `message`, scoring, sink; 250 only after the sink
 * has it on disk. Whatever happens the writer ends up dropped or with the sink, and the transaction is over.
 */
import { isUtf8 } from 'node:buffer';
import type { Edit, GivenEvidence, Verdict } from '../hook/contract.ts';
import { isHeaderEdit, type HeaderEdit } from '../mail/header-edit.ts';
import { countFields } from '../mail/header-scan.ts';
import type { MessageBytes } from '../mail/message-bytes.ts';
import { NOT_RELAYED, QUARANTINE_HEADER, quarantineValue } from '../mail/quarantine.ts';
import type { Reply } from '../wire/reply.ts';
import { type Arrival, envelopeOf } from './arrival.ts';
import type { Conversation } from './conversation.ts';
import { store } from './hand-over.ts';
import type { MessageWriter } from './ports.ts';
import { receivedHeader } from './received.ts';
import { editRecipients } from './recipient-edits.ts';
import { refuseRecipients, replyForAll, replyToEach } from './recipient-verdicts.ts';
import type { Reception } from './reception.ts';
import { headerNotUtf8550, insufficientStorage452, likelySpam550, localError451, tooManyHops554 } from './replies.ts';
import { withoutRoom } from './room.ts';
import { refuseHeader } from './submission.ts';
import type { Transaction } from './transaction.ts';
import { afterVerdict, gatherEvidence, refusalOf, type Answer } from './verdict.ts';

/** Names the score and why; made by `ports.scoring`, taken out of mail that brings one, see `forgeries`. */
export const EXPLAINING_HEADER = 'X-Posthorn-Spam';

/** Decides on the message of `reception`. @returns the reply to the closing dot. */
export function acceptMessage(conversation: Conversation, transaction: Transaction, reception: Reception): Answer {
  const { writer } = reception;
  const finish = (reply: Reply): Reply => {
    transaction.discard();
    return replyForAll(transaction, reply);
  };
  const fail = (cause: unknown): Reply => {
    conversation.log('error', 'smtp.accept-failed', { cause });
    return finish(writer.failure === undefined ? localError451 : insufficientStorage452);
  };
  try {
    const refusal = reception.refusal();
    if (refusal !== undefined) {
      logMessageRefusal(conversation, transaction, refusal);
      return finish(refusal);
    }
    const sealed = writer.seal();
    const answer =
      sealed instanceof Promise
        ? sealed.then((bytes) => examine(conversation, transaction, writer, bytes))
        : examine(conversation, transaction, writer, sealed);
    return answer instanceof Promise ? answer.then(finish, fail) : finish(answer);
  } catch (cause) {
    return fail(cause);
  }
}

function examine(conversation: Conversation, transaction: Transaction, writer: MessageWriter, bytes: MessageBytes): Answer {
  // A spill to disk can fail as late as here.
  if (writer.failure !== undefined) return insufficientStorage452;
  const { ports, profile } = conversation;
  const refusal = headerRefusal(conversation, transaction, bytes.header);
  if (refusal !== undefined) {
    logMessageRefusal(conversation, transaction, refusal);
    return refusal;
  }
  const id = ports.newId();
  const receivedAtMs = ports.clock.now();
  const origin = conversation.client.originOf(transaction.parameters.smtpUtf8);
  const onlyRecipient = transaction.accepted.length === 1 ? transaction.accepted[0] : undefined;
  const received = receivedHeader({
    hostname: profile.hostname,
    id,
    origin,
    tls: conversation.client.tls,
    onlyRecipient,
    priority: transaction.parameters.requests.priority,
    receivedAtMs,
    hideClient: profile.hideClient,
  });
  const evidence: GivenEvidence[] = [];
  conversation.findings.addTo(evidence);
  gatherEvidence(evidence, transaction.evidence);
  const arrival: Arrival = { conversation, transaction, writer, bytes, id, origin, receivedAtMs, received, evidence };

  const run = ports.hooks.message;
  const quarantine = transaction.quarantine ?? conversation.findings.quarantine;
  if (run === null && evidence.length === 0) return admit(arrival, NO_EDITS, forgeries(arrival), quarantine);
  const asked =
    run === null
      ? null
      : run({
          session: conversation.client.facts,
          ...(transaction.answersEach ? EACH : {}),
          envelope: envelopeOf(arrival, bytes.sizeBytes + Buffer.byteLength(received), quarantine),
          bytes,
          evidence,
        });
  return afterVerdict(asked, (verdict) => judge(arrival, verdict));
}

/** What is wrong with the header, before any plugin sees it. */
function headerRefusal(conversation: Conversation, transaction: Transaction, header: Uint8Array): Reply | undefined {
  const { limits, kind } = conversation.profile;
  if (countFields(header, 'received') > limits.maxHops) return tooManyHops554;
  if (transaction.parameters.smtpUtf8 && !isUtf8(header)) return headerNotUtf8550;
  return kind === 'submission' ? refuseHeader(conversation, transaction.reversePath, header) : undefined;
}

/** Applies what the stage `message` and the scoring came to. */
function judge(arrival: Arrival, verdict: Verdict): Answer {
  const { conversation, transaction, evidence } = arrival;
  const refusal = refusalOf(verdict);
  if (refusal !== undefined) {
    logMessageRefusal(conversation, transaction, refusal, verdict);
    return refusal;
  }
  editRecipients(conversation, transaction, verdict.edits);
  let quarantine = verdict.kind === 'quarantine' ? (verdict.text ?? 'quarantined by policy') : undefined;
  const edits: HeaderEdit[] = [...verdict.edits.filter(isHeaderEdit), ...forgeries(arrival)];
  let explanation = '';
  if (verdict.kind !== 'accept') {
    gatherEvidence(evidence, verdict.evidence);
    const score = conversation.ports.scoring({ ...verdict, evidence });
    if (score.action === 'reject') {
      logMessageRefusal(conversation, transaction, likelySpam550, undefined, { score: score.score, why: score.explanation });
      return likelySpam550;
    }
    if (score.action === 'quarantine') quarantine ??= `score ${score.score}`;
    explanation = score.explanation;
  }
  // Reasons may tell of the client: that its address is listed somewhere.
  if (explanation !== '' && !conversation.profile.hideClient)
    edits.push({ edit: 'replace-header', name: EXPLAINING_HEADER, value: explanation });
  return admit(arrival, verdict.edits, edits, quarantine ?? transaction.quarantine ?? conversation.findings.quarantine);
}

/**
 * Takes out headers of ours that somebody else wrote, also where nothing is scored here: a sender must not be able to vouch
 * for himself. Only those of a host in `relay.from` stay, such as another server of ours that did the scoring.
 */
function forgeries({ conversation, bytes }: Arrival): readonly HeaderEdit[] {
  if (conversation.client.isRelayHost) return NO_EDITS;
  const forged = OUR_NAMES.filter((name) => countFields(bytes.header, name) > 0);
  return forged.length === 0 ? NO_EDITS : forged.map((name) => ({ edit: 'remove-header', name }));
}

const OUR_NAMES: readonly string[] = [EXPLAINING_HEADER, QUARANTINE_HEADER].map((name) => name.toLowerCase());
const NO_EDITS: readonly never[] = [];

/** Stores the message for those who are to have it. @param asked edits of plugins, for verdicts on single recipients */
function admit(arrival: Arrival, asked: readonly Edit[], edits: readonly HeaderEdit[], quarantine: string | undefined): Answer {
  const full = withoutRoom(arrival);
  if (quarantine === undefined && asked.length === 0 && full.length === 0) return store(arrival, edits, undefined);
  const { conversation, transaction } = arrival;
  const verdicts = [...asked, ...full, ...(quarantine === undefined ? NO_EDITS : leaving(arrival, quarantine))];
  const { refusals, everybody } = refuseRecipients(conversation, transaction, verdicts);
  if (everybody !== undefined) return replyToEach(transaction, refusals, everybody);
  if (quarantine === undefined) return store(arrival, edits, undefined, refusals);
  const value = conversation.profile.hideClient ? 'by policy' : quarantineValue(quarantine);
  return store(arrival, [...edits, { edit: 'replace-header', name: QUARANTINE_HEADER, value }], quarantine, refusals);
}

/** A refusal for each recipient to whom quarantined mail would leave: said here where it can be, else found by delivery. */
function leaving({ conversation, transaction }: Arrival, quarantine: string): readonly Edit[] {
  const { directory } = conversation.ports;
  return [...transaction.recipients.values()]
    .filter(({ mailbox, address }) => mailbox === undefined && directory.resolve(address).is === 'foreign')
    .map(({ address }) => ({ edit: 'reject-recipient', address, ...NOT_RELAYED, cause: `quarantined: ${quarantine}` }));
}
const EACH = { perRecipient: true } as const;

function logMessageRefusal(
  conversation: Conversation,
  transaction: Transaction,
  reply: Reply,
  verdict?: Verdict,
  more: Readonly<Record<string, unknown>> = {},
): void {
  conversation.logRefusal('message', reply, {
    reversePath: transaction.reversePath,
    recipients: transaction.recipients.size,
    ...(verdict === undefined ? {} : { plugin: verdict.plugin, cause: verdict.cause }),
    ...more,
  });
}
