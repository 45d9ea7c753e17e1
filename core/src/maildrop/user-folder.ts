/** Where one user's mail lies: `<root>/<user>/Maildir`. The only place that makes a path out of a user name. */
import { join } from 'node:path';

/** Letters and digits of any script, and what addresses use; no separator, no control character, no leading dot or dash. */
const USER_NAME = /^[\p{L}\p{N}_][\p{L}\p{M}\p{N}._+@=~-]*$/u;
/** A file name holds 255 bytes; the lock's adds some. */
const MAX_NAME_BYTES = 200;

/** True when the name can stand as one folder's name below the root, and nowhere else. */
export function isUserName(user: string): boolean {
  return USER_NAME.test(user) && Buffer.byteLength(user) <= MAX_NAME_BYTES;
}

/** @returns the user's Maildir, or undefined for a name that is no user name. */
export function maildirOf(root: string, user: string): string | undefined {
  return isUserName(user) ? join(root, user, 'Maildir') : undefined;
}
