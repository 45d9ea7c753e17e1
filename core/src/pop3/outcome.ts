/**
 * What a verb decides: the reply, and what becomes of the session. Verbs return it; the session alone writes, counts
 * and changes state. Text from elsewhere (a plugin) is made safe here: no control character reaches the peer.
 */
import type { Verdict } from '../hook/contract.ts';
import { assertNever, type State } from './conversation.ts';

/** Response codes in brackets: RFC 2449 §8.1 and RFC 3206. */
export type ResponseCode = 'IN-USE' | 'AUTH' | 'SYS/TEMP' | 'SYS/PERM';

export interface Outcome {
  /** The first line of the reply, with CRLF. */
  readonly line: string;
  /** Counts towards the limit of errors: the client asked for what it may not have. */
  readonly fault: boolean;
  /** The rest of a multi-line reply as it goes to the peer, byte-stuffed and ended. */
  readonly body?: readonly Uint8Array[];
  /** The same for one that is made while it is sent. */
  readonly stream?: Iterable<Uint8Array> | AsyncIterable<Uint8Array>;
  /** State of the session from now on. */
  readonly state?: State;
  readonly after?: 'close' | 'startTls';
  /** The next line is not a command but goes here (AUTH). */
  readonly next?: (line: string) => Outcome | Promise<Outcome>;
}

type More = Pick<Outcome, 'body' | 'stream' | 'state' | 'after'>;

/** RFC 2449 §4: 512 octets with `-ERR `, a code and CRLF. */
const MAX_TEXT_CHARACTERS = 450;

export function ok(text: string, more: More = {}): Outcome {
  return { line: text === '' ? '+OK\r\n' : `+OK ${text}\r\n`, fault: false, ...more };
}

/** The client's doing. */
export function refuse(text: string, code?: ResponseCode, after?: 'close'): Outcome {
  return { line: errorLine(text, code), fault: true, ...(after === undefined ? {} : { after }) };
}

/** Not the client's doing: a plugin's answer, a message that vanished, a disk that fails. */
export function fail(text: string, code?: ResponseCode, more: More = {}): Outcome {
  return { line: errorLine(text, code), fault: false, ...more };
}

/** What a plugin's verdict says to the peer; undefined when it lets the command pass. */
export function refusalOf(verdict: Verdict, code?: ResponseCode): Outcome | undefined {
  switch (verdict.kind) {
    case 'reject':
      return fail(verdict.text ?? 'Refused', code);
    case 'defer':
      return fail(verdict.text ?? 'Try again later', 'SYS/TEMP');
    case 'pass':
    case 'accept':
    case 'quarantine':
      return undefined;
    default:
      return assertNever(verdict.kind);
  }
}

function errorLine(text: string, code: ResponseCode | undefined): string {
  const safe = text.slice(0, MAX_TEXT_CHARACTERS).replace(/[^\x20-\x7e]/g, '?');
  return code === undefined ? `-ERR ${safe}\r\n` : `-ERR [${code}] ${safe}\r\n`;
}
