/**
 * What a verb decides: the reply, and what becomes of the session. Verbs return it; the session alone writes, counts
 * and changes state. Texts come from the table (languages/texts.ts); those of a plugin are made safe here.
 */
import type { Verdict } from '../hook/contract.ts';
import { assertNever, type Conversation, type State } from './conversation.ts';
import type { Language } from './languages/languages.ts';

/** Response codes in brackets: RFC 2449 §8.1, RFC 3206, RFC 6856 §5. */
export type ResponseCode = 'IN-USE' | 'LOGIN-DELAY' | 'AUTH' | 'SYS/TEMP' | 'SYS/PERM' | 'UTF8';

export interface Outcome {
  /** The first line of the reply, with CRLF. */
  readonly line: string;
  /** Counts towards the limit of errors: the client asked for what it may not have. */
  readonly fault: boolean;
  /** The rest of a multi-line reply as it goes to the peer, byte-stuffed and ended. */
  readonly body?: readonly Uint8Array[];
  /** Called once the body was sent, or when it, or the stream, will never be: what it was read into is used again. */
  readonly giveBack?: () => void;
  /** The same for one that is made while it is sent. */
  readonly stream?: Iterable<Uint8Array> | AsyncIterable<Uint8Array>;
  /** State of the session from now on. */
  readonly state?: State;
  /** Language of its replies from now on. */
  readonly language?: Language;
  /** UTF-8 mode from now on. */
  readonly utf8?: true;
  readonly after?: 'close' | 'startTls';
  /** The next line is not a command but goes here (AUTH). */
  readonly next?: (line: string) => Outcome | Promise<Outcome>;
}

type More = Partial<Omit<Outcome, 'line' | 'fault' | 'next'>>;

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
export function refusalOf(c: Conversation, verdict: Verdict, code?: ResponseCode): Outcome | undefined {
  switch (verdict.kind) {
    case 'reject':
      return fail(verdict.text === undefined ? c.texts.refused : c.foreign(verdict.text), code);
    case 'defer':
      return fail(verdict.text === undefined ? c.texts.deferred : c.foreign(verdict.text), 'SYS/TEMP');
    case 'pass':
    case 'accept':
    case 'quarantine':
      return undefined;
    default:
      return assertNever(verdict.kind);
  }
}

function errorLine(text: string, code: ResponseCode | undefined): string {
  return code === undefined ? `-ERR ${text}\r\n` : `-ERR [${code}] ${text}\r\n`;
}
