/** Fills a Maildir with messages that a user has seen before: what POP3 servers are measured and tested on. */
import { chownSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/**
 * Writes each message (CRLF line ends) into `cur`, its sizes in the name as Dovecot and Posthorn write them.
 * @param owner of everything in it; default: this process.
 * @param sizesInNames false: names as other programs write them, from which nobody learns a size.
 */
export function writeMaildir(path: string, messages: Iterable<Uint8Array>, owner?: Owner, sizesInNames = true): void {
  for (const part of ['cur', 'new', 'tmp']) mkdirSync(join(path, part), { recursive: true });
  let number = 0;
  for (const bytes of messages) {
    const unique = `${1_700_000_000 + number}.M${String(number).padStart(6, '0')}.example`;
    const sizes = sizesInNames ? `,S=${bytes.length},W=${bytes.length}` : '';
    writeFileSync(join(path, 'cur', `${unique}${sizes}:2,`), bytes);
    number++;
  }
  if (owner === undefined) return;
  for (const entry of ['.', ...readdirSync(path, { recursive: true, encoding: 'utf8' })]) {
    chownSync(join(path, entry), owner.uid, owner.gid);
  }
}
