/**
 * The parameters of MAIL as the client says them (RFC 5321 §4.1.1.11): each only to a host that offered its extension.
 * Asked by remote/transaction. Pure.
 */
import type { Capabilities } from './capabilities.ts';
import { mailRequests } from './delivery-requests.ts';
import type { OutgoingMessage } from './transaction.ts';

/** @returns what stands behind the path, with a blank before each */
export function mailParameters(message: OutgoingMessage, capabilities: Capabilities): string {
  const { binary = false, eightBit, priority = 0, requireTls = false, sizeBytes, smtpUtf8 = false } = message;
  let text = capabilities.size === undefined ? '' : ` SIZE=${sizeBytes}`;
  if (binary) text += ' BODY=BINARYMIME';
  else if (eightBit && capabilities.eightBitMime) text += ' BODY=8BITMIME';
  if (smtpUtf8 && capabilities.smtpUtf8) text += ' SMTPUTF8';
  // RFC 6710 §4.2: the value is told also when it is that of most mail.
  if (capabilities.priority) text += ` MT-PRIORITY=${priority}`;
  // RFC 4954 §5: we vouch for nobody by our own login.
  if (capabilities.loggedIn) text += ' AUTH=<>';
  if (requireTls && capabilities.requireTls) text += ' REQUIRETLS';
  return message.asked === undefined ? text : text + mailRequests(message.asked, capabilities);
}
