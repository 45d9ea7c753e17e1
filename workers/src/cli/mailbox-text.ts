/**
 * How `posthorn mailbox` shows mailboxes to a person. What strangers wrote reaches the terminal without control
 * characters, and without those that turn the direction of what follows.
 */
import type { FileHandle } from 'node:fs/promises';
import PostalMime from 'postal-mime';

export interface MailboxSize {
  readonly user: string;
  messages: number;
  bytes: number;
  /** In users.yaml. */
  readonly known: boolean;
}

/** What a header says, encoded words read. */
export interface Head {
  readonly date?: string;
  readonly from?: string;
  readonly subject?: string;
}

export interface ShownMessage extends Head {
  readonly number: number;
  readonly uidl: string;
  readonly sizeBytes: number;
  readonly arrivedAtMs: number;
}

/** As much of a message as is read for its header. */
const HEAD_BYTES = 64 * 1024;
const MAX_TEXT_LENGTH = 400;
const FIELDS = /^(?:from|subject|date):/i;

export function listLine({ user, messages, bytes, known }: MailboxSize): string {
  return plain(`${user}  ${messages} messages  ${bytes} bytes${known ? '' : '  (no user of users.yaml)'}`) + '\n';
}

export function showLine({ number, uidl, sizeBytes, arrivedAtMs, date, from, subject }: ShownMessage): string {
  const when = date ?? new Date(arrivedAtMs).toISOString();
  return `${plain(`${number}  ${uidl}  ${sizeBytes} bytes  ${when}  ${from ?? '<>'}  ${subject ?? ''}`).trimEnd()}\n`;
}

/** Reads date, author and subject of an open message, from its beginning. @throws when it cannot be read. */
export async function readHead(file: FileHandle): Promise<Head> {
  const buffer = Buffer.alloc(HEAD_BYTES);
  const { bytesRead } = await file.read(buffer, 0, HEAD_BYTES, 0);
  const text = buffer.toString('latin1', 0, bytesRead).replaceAll('\r\n', '\n');
  const header = text.startsWith('\n') ? '' : (text.split('\n\n', 1)[0] ?? '');
  // Nothing but these, the first of each: who writes thousands of fields is not worth the time.
  const fields = header.split(/\n(?![ \t])/).filter((field) => FIELDS.test(field));
  const first = fields.filter((field, at) => fields.findIndex((other) => nameOf(other) === nameOf(field)) === at);
  const { date, from, subject } = await PostalMime.parse(Buffer.from(`${first.join('\r\n')}\r\n\r\n`, 'latin1'));
  const author = [from?.name ?? '', from?.address === undefined || from.address === '' ? '' : `<${from.address}>`];
  return {
    ...(date === undefined ? {} : { date: plain(date) }),
    ...(from === undefined ? {} : { from: plain(author.filter((one) => one !== '').join(' ')) }),
    ...(subject === undefined ? {} : { subject: plain(subject) }),
  };
}

/** One line of a bounded length that does nothing to a terminal. */
export function plain(text: string): string {
  const line = text.replace(/[\p{Cc}\p{Cs}\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]+/gu, '?');
  return line.length > MAX_TEXT_LENGTH ? `${line.slice(0, MAX_TEXT_LENGTH)}…` : line;
}

function nameOf(field: string): string {
  return field.slice(0, field.indexOf(':')).toLowerCase();
}
