/**
 * HELO and EHLO (RFC 5321 §4.1.1.1), and LHLO on LMTP listeners, which know neither of the others (RFC 2033 §4.1). The name is checked for form only: RFC 5321 §4.1.4 forbids to refuse mail because
 * it is not the client's. EHLO lists what this listener offers as things stand now; both end an open transaction.
 */
import type { Verdict } from '../../hook/contract.ts';
import { addressLiteral } from '../../wire/address-literal.ts';
import { parseDomain } from '../../wire/address.ts';
import { Reply } from '../../wire/reply.ts';
import type { Conversation } from '../conversation.ts';
import { XCLIENT_NAMES, XFORWARD_NAMES } from '../client-attributes.ts';
import type { SmtpLimits } from '../ports.ts';
import { badHostname501, unknownCommand500 } from '../replies.ts';
import { offerOfAuth } from './auth.ts';

type Hello = 'HELO' | 'EHLO' | 'LHLO';

/** HELO and EHLO are unknown where LMTP is spoken, and LHLO elsewhere. */
export const speaks =
  (protocol: 'SMTP' | 'LMTP') =>
  ({ isLmtp }: Conversation): Reply | undefined =>
    (protocol === 'LMTP') === isLmtp ? undefined : unknownCommand500;

export const askHello =
  (verb: Hello) =>
  ({ ports, client }: Conversation, name: string): Verdict | Promise<Verdict> | null =>
    ports.hooks.hello?.({ session: { ...client.facts, helo: name }, verb }) ?? null;

export const greet =
  (verb: Hello) =>
  (conversation: Conversation, name: string, verdict: Verdict): Reply => {
    conversation.greet(name, verb !== 'HELO');
    conversation.findings.keep('hello', verdict);
    return verb === 'HELO' ? new Reply(250, '', conversation.profile.hostname) : offer(conversation);
  };

/**
 * @returns the name as it may stand in a trace header. A trailing dot is taken off, and an IPv6 literal without its tag,
 * as some mail libraries send it, is given one.
 */
export function helloName(_conversation: Conversation, argument: string): string | Reply {
  if (argument.startsWith('[')) {
    if (argument.indexOf(']') !== argument.length - 1) return badHostname501;
    return addressLiteral(argument, 0) ?? addressLiteral(`[IPv6:${argument.slice(1)}`, 0) ?? badHostname501;
  }
  const name = argument.endsWith('.') ? argument.slice(0, -1) : argument;
  return parseDomain(name) === undefined ? badHostname501 : name;
}

function offer(conversation: Conversation): Reply {
  const { profile, client, isLmtp } = conversation;
  const { maxMessageBytes } = profile.limits;
  // Who takes it up talks before the banner.
  const early = profile.earlyTalkers === 'allow' && !isLmtp ? '\nPIPECONNECT' : '';
  let lines = `${profile.hostname}\nPIPELINING${early}\nSIZE ${maxMessageBytes}\n8BITMIME\nCHUNKING\nBINARYMIME\nSMTPUTF8`;
  // LMTP answers for each recipient without being asked.
  if (!isLmtp) lines += '\nPRDR';
  lines += `\nENHANCEDSTATUSCODES\nLIMITS ${limitsOf(profile.limits)}\nHELP`;
  lines += offerOfRequests(conversation);
  if (client.mayStartTls) lines += '\nSTARTTLS';
  const logins = offerOfAuth(conversation);
  if (logins !== undefined) lines += `\n${logins}`;
  if (client.mayXclient) lines += `\nXCLIENT ${XCLIENT_NAMES.join(' ')}`;
  if (client.mayXforward) lines += `\nXFORWARD ${XFORWARD_NAMES.join(' ')}`;
  return new Reply(250, '', lines);
}

/** What may be asked of delivery here, with its limits. */
function offerOfRequests({ profile, ports, client }: Conversation): string {
  const { dsn, minDeliverBySeconds, maxHoldSeconds, priority, requireTls } = profile.requests;
  let lines = dsn ? '\nDSN' : '';
  if (minDeliverBySeconds !== null) lines += minDeliverBySeconds === 0 ? '\nDELIVERBY' : `\nDELIVERBY ${minDeliverBySeconds}`;
  if (maxHoldSeconds > 0 && profile.kind === 'submission') {
    const until = new Date(ports.clock.now() + maxHoldSeconds * 1000).toISOString().replace(/\.\d+/, '');
    lines += `\nFUTURERELEASE ${maxHoldSeconds} ${until}`;
  }
  if (priority) lines += '\nMT-PRIORITY';
  // Nothing that came in clear can be asked to stay secret (RFC 8689 §2).
  if (requireTls && client.tls !== undefined) lines += '\nREQUIRETLS';
  return lines;
}

/** What the session really holds a client to (RFC 9422 §3). */
function limitsOf({ maxMessages, maxRecipients, maxRecipientDomains }: SmtpLimits): string {
  const domains = maxRecipientDomains === 0 ? '' : ` RCPTDOMAINMAX=${maxRecipientDomains}`;
  return `MAILMAX=${maxMessages} RCPTMAX=${maxRecipients}${domains}`;
}
