/**
 * What one POP3 session knows: its peer, its state (RFC 1939 §3), the language it answers in, and what it counted.
 * Verbs read it and change nothing in it; the session alone does, by `settle` and what follows it.
 */
import { type SessionFacts, tlsForPlugins } from '../hook/contract.ts';
import type { TlsFacts } from '../wire/session.ts';
import { Conduct } from './conduct.ts';
import { DEFAULT_LANGUAGE } from './languages/languages.ts';
import type { Texts } from './languages/texts.ts';
import type { Outcome } from './outcome.ts';
import type { Maildrop, Pop3Ports, Pop3Profile } from './ports.ts';

/** Who is at the other end. `tls` is set when TLS was on before the first byte. */
export interface Pop3Peer {
  readonly address: string;
  readonly port: number;
  readonly tls?: TlsFacts;
  readonly sessionId: string;
}

export interface AuthorizationState {
  readonly at: 'authorization';
  /** Name given by USER, waiting for PASS. */
  readonly name?: string;
}

export interface TransactionState {
  readonly at: 'transaction';
  readonly user: string;
  readonly drop: Maildrop;
  /** Indices of the messages marked by DELE. */
  readonly marks: Set<number>;
}

/** RFC 1939 §3. */
export type State = AuthorizationState | TransactionState | { readonly at: 'update' };

/** RFC 2449 §4: 512 octets with `-ERR `, a code, CRLF, and a text of ours around it. */
const MAX_FOREIGN_BYTES = 320;

export class Conversation {
  readonly ports: Pop3Ports;
  readonly profile: Pop3Profile;
  /** Sent in the greeting for APOP (RFC 1939 §7); undefined where nobody could use it. */
  timestamp: string | undefined = undefined;
  /** The session ended meanwhile: what is under way has to come to nothing. */
  over = false;
  readonly conduct: Conduct;
  /** What was done, for the last line in the log. */
  readonly tally = { retrieved: 0, retrievedBytes: 0, deleted: 0 };

  #facts: SessionFacts;
  #tls: TlsFacts | undefined;
  #state: State = { at: 'authorization' };
  #language = DEFAULT_LANGUAGE;
  #utf8 = false;

  constructor(ports: Pop3Ports, profile: Pop3Profile, peer: Pop3Peer) {
    this.ports = ports;
    this.profile = profile;
    this.conduct = new Conduct(profile);
    this.#tls = peer.tls;
    this.#facts = {
      sessionId: peer.sessionId,
      listener: profile.listener,
      clientAddress: peer.address,
      clientPort: peer.port,
      helo: '',
      ...(peer.tls === undefined ? {} : { tls: tlsForPlugins(peer.tls) }),
    };
  }

  get facts(): SessionFacts {
    return this.#facts;
  }

  /** With what is for no plugin: channel bindings. */
  get tls(): TlsFacts | undefined {
    return this.#tls;
  }

  get state(): State {
    return this.#state;
  }

  get texts(): Texts {
    return this.#language.texts;
  }

  /** The client said UTF8 (RFC 6856 §2): messages may go to it as they are. */
  get utf8(): boolean {
    return this.#utf8;
  }

  /** Replies may have UTF-8; else each is ASCII. */
  get beyondAscii(): boolean {
    return this.#utf8 || this.#language !== DEFAULT_LANGUAGE;
  }

  /** Text that is not ours (a name, a plugin's words) as it may stand in a reply: short, printable, ASCII unless asked for more. */
  foreign(text: string): string {
    const safe = text.slice(0, MAX_FOREIGN_BYTES).replace(this.beyondAscii ? /\p{C}/gu : /[^\x20-\x7e]/g, '?');
    // What begins with a bracket is a response code to the client (RFC 2449 §6.4), and those are ours to give.
    return cut(safe.replace(/^\[/, '('));
  }

  secured(tls: TlsFacts): void {
    this.#tls = tls;
    this.#facts = { ...this.#facts, tls: tlsForPlugins(tls) };
  }

  /** PASS comes right after the USER that it belongs to, or not at all (RFC 1939 §7): whatever else comes forgets the name. */
  forgetName(): void {
    if (this.#state.at === 'authorization' && this.#state.name !== undefined) this.#state = { at: 'authorization' };
  }

  /** Takes over what an outcome changes. What came before TLS is forgotten (RFC 2595 §4). */
  settle({ state, language, utf8, after }: Outcome): void {
    if (after === 'startTls') this.#language = DEFAULT_LANGUAGE;
    if (language !== undefined) this.#language = language;
    if (utf8 === true) this.#utf8 = true;
    if (state === undefined) return;
    this.#state = state;
    if (state.at === 'transaction') this.#facts = { ...this.#facts, user: state.user };
  }

  /** The session is over: the maildrop is given up. Only QUIT has committed before. */
  end(): void {
    this.over = true;
    if (this.#state.at === 'transaction') this.#state.drop.release();
  }

  /** The last line of the session in the log. @param ended by what */
  logEnd(ended: string): void {
    const { clientAddress, sessionId, user } = this.#facts;
    const { errors, unknown } = this.conduct;
    this.ports.log.info('pop3.closed', {
      session: sessionId,
      client: clientAddress,
      user,
      ended,
      ...this.tally,
      errors,
      unknown,
    });
  }
}

/** In UTF-8 no longer than a reply has room for. */
function cut(text: string): string {
  const bytes = Buffer.from(text);
  if (bytes.length <= MAX_FOREIGN_BYTES) return text;
  let end = MAX_FOREIGN_BYTES;
  while (end > 0 && (bytes[end]! & 0xc0) === 0x80) end--;
  return bytes.toString('utf8', 0, end);
}

/** Stands at the end of a switch over a closed union: the compiler objects when a case is missing. */
export function assertNever(value: never): never {
  throw new TypeError(`unexpected: ${JSON.stringify(value)}`);
}
