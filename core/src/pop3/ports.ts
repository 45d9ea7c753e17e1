/** What a POP3 session needs from the rest of the house. Plugged together in wiring; tests bring their own. */
import type { Pipeline } from '../hook/contract.ts';
import type { Clock } from '../mail/clock.ts';
import type { Counters } from '../observe/counters.ts';
import type { Log } from '../observe/log.ts';
import type { Authenticator } from '../auth/authenticator.ts';
import type { BufferPool } from '../wire/buffer-pool.ts';

/** One message of an open maildrop; numbers of RFC 1939 are the index plus one. */
export interface DropMessage {
  readonly uidl: string;
  /** Octets as RETR sends them, before byte-stuffing (RFC 1939 §11). */
  readonly sizeBytes: number;
  /** The same of its surrogate for clients without UTF-8 mode (RFC 6858); absent where there is none, or nobody has counted it. */
  readonly surrogateBytes?: number;
}

/** Bytes that are the caller's until he gives them back, once; then another message is read into the same place. */
export interface LentBytes {
  readonly bytes: Uint8Array;
  giveBack(): void;
}

/** A locked maildrop: a snapshot that stays as it was opened. Answers at once where nothing has to be waited for. */
export interface Maildrop {
  readonly messages: readonly DropMessage[];
  /** The bytes of message `index` with CRLF line ends, in order; a chunk is the caller's until it asks for the next, or ends. Throws when the file is gone. */
  read(index: number): AsyncIterable<Uint8Array>;
  /**
   * Small messages at once, without a stream.
   * @returns undefined when it is larger than `maxBytes`, or longer than it was said to be: then use `read`. Throws when the file is gone.
   */
  readWhole(index: number, maxBytes: number): LentBytes | undefined | Promise<LentBytes | undefined>;
  /** Octets that `read` gives, counted where the file is not what the listing said. Throws or rejects when it is gone. */
  sizeOf(index: number): number | Promise<number>;
  /** What is known of a message is not true (its size, its line ends): it is looked at anew before the next login. Never throws. */
  distrust(index: number, cause: string): void;
  /** Deletes these messages (UPDATE state) and gives the lock up. @returns how many could not be deleted. */
  commit(deleted: readonly number[]): Promise<CommitResult>;
  /** The login stands: the next one to this maildrop has to wait for the time of `LOGIN-DELAY`. Never throws. */
  noteLogin(): void;
  /** Gives the lock up, deletes nothing. Safe to call twice, while `read` is under way, and while `commit` is (which goes on). Never throws. */
  release(): void;
}

export interface CommitResult {
  readonly failed: number;
  /** Some of them for what only the operator can mend: `[SYS/PERM]` (RFC 3206). */
  readonly permanent?: true;
}

export type OpenResult =
  | { readonly ok: true; readonly drop: Maildrop }
  /** Another session has it: `-ERR [IN-USE]` (RFC 2449 §8.1.1). */
  | { readonly ok: false; readonly why: 'in-use' }
  /** The last login was not long enough ago: `-ERR [LOGIN-DELAY]` (RFC 2449 §8.1.2). */
  | { readonly ok: false; readonly why: 'too-soon' }
  /** `-ERR [SYS/TEMP]`, or `[SYS/PERM]` where only the operator can help (RFC 3206). */
  | { readonly ok: false; readonly why: 'failed'; readonly permanent: boolean; readonly cause: string };

export interface MaildropOpener {
  /** Never throws or rejects. */
  open(user: string): OpenResult | Promise<OpenResult>;
}

/** For how long mail is kept at least, in days; null: it is not deleted. */
export interface Retention {
  /** The least of all users. */
  readonly leastDays: number | null;
  readonly sameForAll: boolean;
  daysOf(user: string): number | null;
}

export interface Pop3Profile {
  readonly listener: string;
  readonly hostname: string;
  readonly starttls: boolean;
  /** Nothing but CAPA, STLS and QUIT is done before TLS. */
  readonly requireTls: boolean;
  readonly plaintextLogin: 'never' | 'loopback' | 'always';
  /** Told to clients as LOGIN-DELAY; 0: there is none. Kept by the maildrops. */
  readonly loginDelayMs: number;
  /** What `LANG *` chooses. */
  readonly language: 'en' | 'de' | 'fr';
  /** Command line with CRLF; RFC 2449 §4 says 255, AUTH and long passwords need more. */
  readonly maxLineBytes: number;
  /** Commands answered by -ERR, failed logins among them, before the session is closed. */
  readonly maxErrors: number;
  /** Unknown commands, and NOOP, RSET, CAPA, UTF8 and LANG in a row: past so many the session is closed. */
  readonly maxUnknownCommands: number;
  readonly maxIdleCommands: number;
}

export interface Pop3Ports {
  readonly hooks: Pipeline;
  readonly maildrops: MaildropOpener;
  readonly authenticator: Authenticator;
  readonly retention: Retention;
  /** Where long replies are gathered. */
  readonly buffers: BufferPool;
  readonly clock: Clock;
  readonly log: Log;
  readonly counters: Counters;
}
