/**
 * The replies of the SMTP server that never change, by name and number, each encoded once. Verbs return them; only
 * smtp/session writes them. Enhanced codes: RFC 3463, RFC 5248.
 */
import { Reply } from '../wire/reply.ts';

/** Nothing is said yet: the answer to a BDAT comes when its octets are in. */
export const chunkFollows = new Reply(0, '', '', 'readOn');

// Good answers.
export const ok250 = new Reply(250, '2.0.0', 'Ok');
export const senderOk250 = new Reply(250, '2.1.0', 'Sender ok');
export const senderOkPriority250 = new Reply(250, '2.3.6', '0 is the priority for clients that are not trusted');
export const recipientOk250 = new Reply(250, '2.1.5', 'Recipient ok');
export const readyForTls220 = new Reply(220, '2.0.0', 'Ready to start TLS', 'startTls');
export const recipientTakes250 = new Reply(250, '2.1.5', 'Message accepted for this recipient');
export const eachRecipient353 = new Reply(353, '', 'A reply for each recipient follows');
export const startMail354 = new Reply(354, '', 'End data with <CR><LF>.<CR><LF>');
export const authenticated235 = new Reply(235, '2.7.0', 'Authentication successful');
export const cannotVerify252 = new Reply(252, '2.5.0', 'Cannot VRFY user, but will accept message and attempt delivery');

// Commands that are wrong in form.
export const unknownCommand500 = new Reply(500, '5.5.1', 'Command unrecognized');
export const lineTooLong500 = new Reply(500, '5.5.2', 'Line too long');
export const exchangeLineTooLong500 = new Reply(500, '5.5.6', 'Authentication exchange line is too long');
export const bareLineEnd500 = new Reply(500, '5.5.2', 'Bare CR or LF in a command: lines end with <CR><LF>');
export const controlCharacter500 = new Reply(500, '5.5.2', 'Control character in a command');
export const noArgumentAllowed501 = new Reply(501, '5.5.4', 'No argument allowed');
export const argumentNeeded501 = new Reply(501, '5.5.4', 'Argument needed');
export const badHostname501 = new Reply(501, '5.5.4', 'Host name or address literal needed');
export const mailSyntax501 = new Reply(501, '5.5.4', 'Syntax: MAIL FROM:<address>');
export const rcptSyntax501 = new Reply(501, '5.5.4', 'Syntax: RCPT TO:<address>');
export const badSender501 = new Reply(501, '5.1.7', 'Bad sender address syntax');
export const badRecipient501 = new Reply(501, '5.1.3', 'Bad recipient address syntax');
export const senderTooLong501 = new Reply(501, '5.1.7', 'Sender address too long');
export const recipientTooLong501 = new Reply(501, '5.1.3', 'Recipient address too long');
export const badParameter501 = new Reply(501, '5.5.4', 'Bad parameter syntax');
/** RFC 6531 §3.7.4.2. */
export const utf8ReplyNeeded252 = new Reply(252, '2.6.8', 'Address is not ASCII, and SMTPUTF8 was not asked for');
export const notUtf8501 = new Reply(501, '5.5.2', 'Argument is not UTF-8');
export const duplicateParameter501 = new Reply(501, '5.5.4', 'Parameter given twice');
export const badChunk501 = new Reply(501, '5.5.4', 'Syntax: BDAT size [LAST]', 'close');
export const notImplemented502 = new Reply(502, '5.5.1', 'Command not implemented');
/** A verb that is known and not done. */
export const notDone502 = (verb: string, why: string): Reply => new Reply(502, '5.5.1', `${verb} is not implemented: ${why}`);
export const unicodeSender553 = new Reply(553, '5.6.7', 'Sender address must be ASCII without SMTPUTF8');
export const unicodeParameter501 = new Reply(501, '5.5.4', 'Parameters must be ASCII without SMTPUTF8');
export const unicodeRecipient553 = new Reply(553, '5.6.7', 'Recipient address must be ASCII without SMTPUTF8');
export const unknownParameter555 = new Reply(555, '5.5.4', 'Parameter not recognized or not implemented');

export const deliverByTooSoon555 = new Reply(555, '5.5.4', 'Delivery cannot be that soon');
export const holdTooLong501 = new Reply(501, '5.5.4', 'Held for longer than allowed');
export const heldTooLongForBy501 = new Reply(501, '5.5.4', 'Held for longer than delivery may take');
export const tlsForRequireTls530 = new Reply(530, '5.7.10', 'REQUIRETLS needs TLS');

// Commands out of place.
export const helloFirst503 = new Reply(503, '5.5.1', 'Say HELO or EHLO first');
export const lhloFirst503 = new Reply(503, '5.5.1', 'Say LHLO first');
export const mailFirst503 = new Reply(503, '5.5.1', 'MAIL first');
export const nestedMail503 = new Reply(503, '5.5.1', 'Nested MAIL command');
export const bdatBegun503 = new Reply(503, '5.5.1', 'Not after BDAT: send the rest by BDAT, or RSET');
export const bdatNeeded503 = new Reply(503, '5.5.1', 'A BINARYMIME message comes by BDAT');
export const noRecipients503 = new Reply(503, '5.5.1', 'No valid recipients');
export const noRecipients554 = new Reply(554, '5.5.1', 'No valid recipients');
export const alreadyTls503 = new Reply(503, '5.5.1', 'TLS is active already');
export const alreadyAuthenticated503 = new Reply(503, '5.5.1', 'Authenticated already');
export const notDuringMail503 = new Reply(503, '5.5.1', 'Not during a mail transaction');
export const refusedSession503 = new Reply(503, '5.5.1', 'Session refused: only QUIT is taken');

// Who may do what.
export const authenticationRequired530 = new Reply(530, '5.7.0', 'Authentication required');
export const startTlsFirst530 = new Reply(530, '5.7.0', 'Must issue a STARTTLS command first');
export const encryptionRequired538 = new Reply(538, '5.7.11', 'Encryption required for this authentication mechanism');
export const unknownMechanism504 = new Reply(504, '5.5.4', 'Authentication mechanism not supported');
export const badResponse501 = new Reply(501, '5.5.2', 'Cannot decode the response');
export const authenticationCancelled501 = new Reply(501, '5.7.0', 'Authentication cancelled');
export const badCredentials535 = new Reply(535, '5.7.8', 'Authentication credentials invalid');
export const authenticationUnavailable454 = new Reply(454, '4.7.0', 'Temporary authentication failure, try again later');
export const mailboxUnavailable550 = new Reply(550, '5.1.1', 'No such user here');
export const mailboxFull452 = new Reply(452, '4.2.2', 'Mailbox is full');
export const mailboxFull552 = new Reply(552, '5.2.2', 'Mailbox is full');
export const tooLargeForMailbox552 = new Reply(552, '5.2.3', 'Message is larger than the mailbox may be');
export const notAuthorized550 = new Reply(550, '5.7.0', 'Not authorized');
export const senderNotYours550 = new Reply(550, '5.7.1', 'Sender address is not one of this login');
export const foreignFrom550 = new Reply(550, '5.7.1', 'From must name nobody but addresses of this login');
export const foreignSender550 = new Reply(550, '5.7.1', 'Sender must be one address of this login');
export const hiddenField554 = new Reply(554, '5.6.0', 'Message header has control characters in a field name');
export const fromTwice554 = new Reply(554, '5.6.0', 'Message has more than one From');
export const fromNeeded554 = new Reply(554, '5.6.0', 'Message has neither From nor a reverse-path');
export const partialSender554 = new Reply(554, '5.1.8', 'Sender domain is not fully qualified');
export const partialRecipient554 = new Reply(554, '5.1.2', 'Recipient domain is not fully qualified');
export const partialHeader554 = new Reply(554, '5.6.0', 'Message header has an address whose domain is not fully qualified');
export const relayDenied554 = new Reply(554, '5.7.1', 'Relay access denied');

// The message.
export const messageTooLarge552 = new Reply(552, '5.3.4', 'Message size exceeds fixed limit');
export const headerTooLarge552 = new Reply(552, '5.3.4', 'Message header size exceeds fixed limit');
export const textLineTooLong500 = new Reply(500, '5.5.2', 'Message has a line that is too long');
export const bareLineEnd550 = new Reply(550, '5.6.11', 'Message has a bare CR or LF: lines end with <CR><LF>');
export const nulAtStart550 = new Reply(550, '5.6.0', 'Message has a line that begins with NUL');
export const headerNotUtf8550 = new Reply(550, '5.6.0', 'Message header is not UTF-8');
export const tooManyHops554 = new Reply(554, '5.4.6', 'Too many hops, this looks like a mail loop');
export const likelySpam550 = new Reply(550, '5.7.1', 'Message refused as unwanted');

// Short of something, or going away.
export const tooManyRecipients452 = new Reply(452, '4.5.3', 'Too many recipients');
export const tooManyDomains452 = new Reply(452, '4.5.3', 'Too many recipient domains');
export const insufficientStorage452 = new Reply(452, '4.3.1', 'Insufficient system storage');
export const localError451 = new Reply(451, '4.3.0', 'Local error in processing, try again later');
export const internalError421 = new Reply(421, '4.3.0', 'Internal error, closing', 'close');
export const tooManyErrors421 = new Reply(421, '4.7.0', 'Too many errors', 'close');
export const tooManyCommands421 = new Reply(421, '4.7.0', 'Too many commands without a message', 'close');
export const tooManyUnknown421 = new Reply(421, '4.7.0', 'Too many unknown commands', 'close');
export const tooManyIdle421 = new Reply(421, '4.7.0', 'Too many commands that do nothing', 'close');
export const talksEarly554 = new Reply(554, '5.5.1', 'You talk before it is your turn', 'close');
export const tooManyMessages421 = new Reply(421, '4.7.0', 'Too many messages in one session', 'close');
export const notSmtp421 = new Reply(421, '4.7.0', 'This is not HTTP', 'close');
export const tooMuchInput421 = new Reply(421, '4.7.0', 'Too much input while busy', 'close');
export const shuttingDown421 = new Reply(421, '4.3.2', 'Service shutting down', 'close');
export const timedOut421 = new Reply(421, '4.4.2', 'Timeout exceeded', 'close');
