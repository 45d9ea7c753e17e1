/**
 * A reply of an SMTP server: what verbs return and the session writes. Encoded when it is made, so that a reply that
 * never changes is encoded once for the life of the server. Text from elsewhere (a plugin, a client) is made safe
 * here: no control character and no 8-bit byte ever reaches the peer in a reply.
 */

/** What the session does after the reply is written. `readOn`: it is not written, what is read next is answered. */
export type AfterReply = 'continue' | 'close' | 'startTls' | 'readOn';

/** Reply lines are at most 512 octets with code and CRLF (RFC 5321 §4.5.3.1.5). */
const MAX_TEXT_CHARACTERS = 480;
const MAX_LINES = 50;

export class Reply {
  readonly code: number;
  /** RFC 3463 code such as `5.1.1`; empty for the replies that have none (220, 354, 334, EHLO's). */
  readonly enhanced: string;
  readonly text: string;
  readonly after: AfterReply;
  /** The whole reply as it goes to the peer. */
  readonly bytes: Buffer;

  /**
   * @param text lines separated by LF make a multi-line reply.
   * @param bytes all that goes to the peer, where it is more than this reply.
   */
  constructor(code: number, enhanced: string, text: string, after: AfterReply = 'continue', bytes?: Buffer) {
    this.code = code;
    this.enhanced = enhanced;
    this.text = text;
    this.after = after;
    this.bytes = bytes ?? encode(code, enhanced, text);
  }

  /** Several replies to one command, at least one; it counts as the last of them. */
  static block(replies: readonly Reply[]): Reply {
    const { code, enhanced, text, after } = replies.at(-1)!;
    return new Reply(code, enhanced, text, after, Buffer.concat(replies.map((reply) => reply.bytes)));
  }
}

function encode(code: number, enhanced: string, text: string): Buffer {
  const status = enhanced === '' ? '' : `${enhanced} `;
  if (isPlain(text)) return Buffer.from(`${code} ${status}${text}\r\n`, 'latin1');
  const lines = text.split(/\r\n|\r|\n/).slice(0, MAX_LINES);
  const last = lines.length - 1;
  const encoded = lines.map((line, index) => `${code}${index === last ? ' ' : '-'}${status}${safeText(line)}\r\n`);
  return Buffer.from(encoded.join(''), 'latin1');
}

/** One line, printable ASCII, not too long: nothing to be done to it. */
function isPlain(text: string): boolean {
  if (text.length > MAX_TEXT_CHARACTERS) return false;
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code < 32 || code > 126) return false;
  }
  return true;
}

/** One line of text as it may stand in a reply: printable ASCII, cut to what a reply line holds. */
function safeText(text: string): string {
  return text.slice(0, MAX_TEXT_CHARACTERS).replace(/[^\x20-\x7e]/g, '?');
}
