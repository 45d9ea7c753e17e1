/**
 * The trace header every message gets (RFC 5321 §4.4, protocol keywords RFC 3848, the `tls` clause RFC 8314 §4.3, `PRIORITY` RFC 6710 §4.1). Made by smtp/acceptance, pure.
 */
import type { Origin } from '../mail/envelope.ts';
import { literalOf } from '../wire/address-literal.ts';

export interface Trace {
  readonly hostname: string;
  readonly id: string;
  readonly origin: Origin;
  readonly tls: { readonly version: string; readonly cipher: string } | undefined;
  /** The recipient as given, when there is only one: more would tell each of the others. */
  readonly onlyRecipient: string | undefined;
  /** MT-PRIORITY, where one was given. */
  readonly priority: number | undefined;
  readonly receivedAtMs: number;
  /** Leaves out where it came from: the reader is told of the server alone. */
  readonly hideClient: boolean;
}

/** @returns the field with its folded lines and closing CRLF; ASCII but for the recipient of a message with SMTPUTF8. */
export function receivedHeader(trace: Trace): string {
  const { origin, tls, onlyRecipient, priority } = trace;
  const name = origin.clientName === undefined ? '' : `${origin.clientName} `;
  const secured = tls === undefined ? '' : `\r\n\t(using ${tls.version} with cipher ${tls.cipher})`;
  const recipient = onlyRecipient === undefined ? '' : `\r\n\tfor <${onlyRecipient}>`;
  const urgency = priority === undefined ? '' : `\r\n\tPRIORITY ${priority}`;
  const suite = tls === undefined ? '' : `\r\n\ttls ${tls.cipher}`;
  const from = trace.hideClient ? '' : `from ${origin.helo} (${name}${literalOf(origin.clientAddress)})${secured}\r\n\t`;
  return (
    `Received: ${from}by ${trace.hostname} (Posthorn) with ${origin.protocol} id ${trace.id}${recipient}${urgency}${suite};\r\n` +
    `\t${headerDate(trace.receivedAtMs)}\r\n`
  );
}

/** RFC 5322 §3.3, in UTC. */
export function headerDate(atMs: number): string {
  return `${new Date(atMs).toUTCString().slice(0, -3)}+0000`;
}

/** RFC 3848: ESMTP with S under TLS and A when authenticated; SMTP after HELO. RFC 6531 §4.3: UTF8SMTP with SMTPUTF8. */
export function protocolKeyword(
  extended: boolean,
  secured: boolean,
  authenticated: boolean,
  utf8: boolean,
  lmtp = false,
): string {
  if (!extended && !utf8) return 'SMTP';
  const basic = lmtp ? (utf8 ? 'UTF8LMTP' : 'LMTP') : utf8 ? 'UTF8SMTP' : 'ESMTP';
  return `${basic}${secured ? 'S' : ''}${authenticated ? 'A' : ''}`;
}
