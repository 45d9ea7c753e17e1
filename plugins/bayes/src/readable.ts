/**
 * A message's bytes made readable: selected headers, text, links and attachments, for the tokeniser.
 * Called for each message that is scored or learned. Looks at no more than `maxBytes` of the message, takes malformed
 * mail as it comes, and never throws: what the MIME parser refuses (bombs of nesting or headers) is read as plain text.
 */
import PostalMime, { decodeWords, type Email } from 'postal-mime';
import { readHtml } from './html.ts';

/** What of a message the tokeniser looks at. */
export interface Readable {
  /** Lower-case name and decoded value, in the order of the message. */
  readonly headers: readonly { readonly name: string; readonly value: string }[];
  /** Text parts, and the text of HTML parts, each cut to `MAX_TEXT_LENGTH`. */
  readonly texts: readonly string[];
  readonly links: readonly string[];
  readonly attachments: readonly { readonly filename: string; readonly type: string }[];
}

/** UTF-16 units of one text that are looked at: past it a message says little new and costs a lot. */
const MAX_TEXT_LENGTH = 96 * 1024;
const MAX_HEADERS = 200;
const MAX_HEADER_LENGTH = 2000;
const MAX_ATTACHMENTS = 50;
/** Header bytes over all parts, and parts inside parts, before the parser gives up. */
const PARSER_LIMITS = { maxHeadersSize: 256 * 1024, maxNestingDepth: 60, maxRfc822NestingDepth: 3 };

/**
 * Reads a message.
 * @param bytes the message's first bytes; must not be shared memory (text decoders refuse it).
 */
export async function readMessage(bytes: Uint8Array<ArrayBuffer>): Promise<Readable> {
  let email: Email;
  try {
    email = await PostalMime.parse(bytes, PARSER_LIMITS);
  } catch {
    // The parser refuses only what goes past its limits: then the raw text is all there is to judge by.
    return { headers: [], texts: [rawText(bytes)], links: [], attachments: [] };
  }
  const texts: string[] = [];
  const links: string[] = [];
  if (email.text !== undefined) texts.push(email.text.slice(0, MAX_TEXT_LENGTH));
  if (email.html !== undefined) {
    const page = readHtml(email.html.slice(0, 2 * MAX_TEXT_LENGTH));
    texts.push(page.text.slice(0, MAX_TEXT_LENGTH));
    links.push(...page.links);
  }
  return {
    headers: email.headers.slice(0, MAX_HEADERS).map(({ key, value }) => ({ name: key, value: decode(value) })),
    texts,
    links,
    attachments: email.attachments
      .slice(0, MAX_ATTACHMENTS)
      .map(({ filename, mimeType }) => ({ filename: filename ?? '', type: mimeType })),
  };
}

function decode(value: string): string {
  const cut = value.slice(0, MAX_HEADER_LENGTH);
  return cut.includes('=?') ? decodeWords(cut) : cut;
}

function rawText(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, MAX_TEXT_LENGTH)).toString('latin1');
}
