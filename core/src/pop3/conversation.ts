/** What verbs know of the session they answer in: its state, its peer, and the ports. Verbs change nothing in it but the tally. */
import type { SessionFacts } from '../hook/contract.ts';
import type { TlsFacts } from '../wire/session.ts';
import type { Maildrop, Pop3Ports, Pop3Profile } from './ports.ts';

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

/** What a session did, for its last line in the log. */
export interface Tally {
  retrieved: number;
  retrievedBytes: number;
  deleted: number;
  errors: number;
  unknown: number;
  /** NOOP, RSET and CAPA since the last command of another kind. */
  idle: number;
}

export interface Conversation {
  readonly ports: Pop3Ports;
  readonly profile: Pop3Profile;
  readonly facts: SessionFacts;
  /** With what is for no plugin: channel bindings. */
  readonly tls: TlsFacts | undefined;
  /** The session ended meanwhile: what is under way has to come to nothing. */
  readonly over: boolean;
  readonly tally: Tally;
}

/** Stands at the end of a switch over a closed union: the compiler objects when a case is missing. */
export function assertNever(value: never): never {
  throw new TypeError(`unexpected: ${JSON.stringify(value)}`);
}
