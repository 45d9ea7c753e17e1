/** A message on its way through the end of data, and the envelope that it gets. Made by smtp/acceptance. */
import type { GivenEvidence } from '../hook/contract.ts';
import type { Envelope, Origin } from '../mail/envelope.ts';
import { countFields, scanHeader, unfoldedValue } from '../mail/header-scan.ts';
import type { MessageBytes } from '../mail/message-bytes.ts';
import { isAscii } from '../wire/address.ts';
import type { Conversation } from './conversation.ts';
import type { MessageWriter } from './ports.ts';
import type { Transaction } from './transaction.ts';

export interface Arrival {
  readonly conversation: Conversation;
  readonly transaction: Transaction;
  readonly writer: MessageWriter;
  readonly bytes: MessageBytes;
  readonly id: string;
  readonly origin: Origin;
  readonly receivedAtMs: number;
  readonly received: string;
  /** Of all stages before `message`. */
  readonly evidence: GivenEvidence[];
}

/** @param sizeBytes with all that is put before it. @param quarantine the reason, where there is one */
export function envelopeOf(arrival: Arrival, sizeBytes: number, quarantine: string | undefined): Envelope {
  const { transaction, id, origin, receivedAtMs } = arrival;
  const recipients = [...transaction.recipients.values()];
  return {
    id,
    receivedAtMs,
    reversePath: transaction.reversePath,
    recipients,
    origin,
    sizeBytes,
    body: transaction.parameters.body,
    ...transaction.parameters.requests,
    ...(asksForDelivery(arrival) ? TLS_OPTIONAL : {}),
    // An alias or a plugin may lead to an address that needs it, too.
    ...(transaction.parameters.smtpUtf8 || !recipients.every(({ address }) => isAscii(address)) ? { smtpUtf8: true } : {}),
    ...(quarantine === undefined ? {} : { quarantine }),
  };
}

const TLS_OPTIONAL = { tlsOptional: true } as const;

/** `TLS-Required: No`, once; REQUIRETLS is stronger (RFC 8689 §4.1, §5). */
function asksForDelivery({ conversation, transaction, bytes }: Arrival): boolean {
  if (!conversation.profile.requests.requireTls || transaction.parameters.requests.requireTls === true) return false;
  if (countFields(bytes.header, 'tls-required') !== 1) return false;
  const field = scanHeader(bytes.header).find(({ name }) => name === 'tls-required');
  return field !== undefined && unfoldedValue(bytes.header, field).toLowerCase() === 'no';
}
