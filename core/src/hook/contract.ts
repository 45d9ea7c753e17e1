/**
 * The contract between Posthorn and its plugins: stages, requests, results. Pure data, so the same plugin runs in the
 * session thread or on a plugin thread. Plugins see this through `@posthorn/sdk`; core never imports a plugin.
 * The contract only grows: fields are added, unknown ones ignored, `CONTRACT_VERSION` says which.
 */
import type { Envelope, Origin } from '../mail/envelope.ts';
import type { MessageBytes } from '../mail/message-bytes.ts';
import type { ClientCertificate, TlsFacts } from '../wire/session.ts';

export const CONTRACT_VERSION = 1;

/** What is known of a session at any stage. */
export interface SessionFacts {
  readonly sessionId: string;
  readonly listener: string;
  readonly clientAddress: string;
  readonly clientPort: number;
  readonly helo: string;
  readonly tls?: {
    readonly version: string;
    readonly cipher: string;
    /** Verified against the listener's `clientCa`. */
    readonly clientCertificate?: ClientCertificate;
  };
  readonly user?: string;
}

/** Evidence gathered by an earlier plugin or stage: the sum of weights is the score. Positive is spam. */
export interface Evidence {
  /** Short upper-case name, such as BAYES_99 or SPF_FAIL. Set by the plugin. */
  readonly name: string;
  readonly weight: number;
  /** Why, in words for the explaining header and the log. */
  readonly reason: string;
}
/** Evidence as the pipeline keeps it: with the plugin that gave it. */
export interface GivenEvidence extends Evidence {
  readonly plugin: string;
}

/** A delivery attempt, for the stages after the queue. */
export interface DeliveryFacts {
  readonly envelope: Envelope;
  readonly recipient: string;
  /** Next hop: `maildir:alice`, `mx.example.org[192.0.2.1]:25`; empty before one was chosen. */
  readonly nextHop: string;
  readonly attempt: number;
  /** The peer's last reply or our own reason. */
  readonly reply?: string;
}

export interface MaildropMessage {
  readonly uidl: string;
  readonly sizeBytes: number;
}

/** One request type for each stage. Order of the keys is the order of a session. */
export interface Requests {
  connect: { readonly session: SessionFacts };
  hello: { readonly session: SessionFacts; readonly verb: 'HELO' | 'EHLO' | 'LHLO' };
  /** After credentials were verified, before they count. */
  auth: { readonly session: SessionFacts; readonly user: string; readonly mechanism: string };
  mail: { readonly session: SessionFacts; readonly reversePath: string; readonly sizeBytes: number | undefined };
  rcpt: { readonly session: SessionFacts; readonly reversePath: string; readonly recipient: string };
  /** DATA was asked for, or BDAT for the first time: no byte of the message is here yet. */
  data: { readonly session: SessionFacts; readonly reversePath: string; readonly recipients: readonly string[] };
  /** The whole message is here and not yet acknowledged. */
  message: {
    readonly session: SessionFacts;
    readonly envelope: Envelope;
    readonly bytes: MessageBytes;
    /** The client reads a verdict for each recipient, so that edits may refuse some of them. */
    readonly perRecipient?: true;
    /** Evidence of earlier stages and, where `reads` orders it, of earlier plugins of this one. */
    readonly evidence: readonly GivenEvidence[];
  };
  queued: { readonly envelope: Envelope };
  deliver: DeliveryFacts;
  delivered: DeliveryFacts;
  deferred: DeliveryFacts & { readonly nextAttemptAtMs: number };
  bounced: DeliveryFacts;
  'pop3.connect': { readonly session: SessionFacts };
  'pop3.auth': { readonly session: SessionFacts; readonly user: string; readonly mechanism: string };
  'pop3.open': { readonly session: SessionFacts; readonly messages: number; readonly sizeBytes: number };
  'pop3.retrieve': { readonly session: SessionFacts; readonly message: MaildropMessage };
  'pop3.delete': { readonly session: SessionFacts; readonly message: MaildropMessage };
  'pop3.commit': { readonly session: SessionFacts; readonly deleted: readonly MaildropMessage[] };
}
export type Stage = keyof Requests;

/** Every stage, in the order of a session: what a plugin's hooks may be named. */
export const STAGES = [
  ...([
    'connect',
    'hello',
    'auth',
    'mail',
    'rcpt',
    'data',
    'message',
    'queued',
    'deliver',
    'delivered',
    'deferred',
    'bounced',
  ] as const),
  ...(['pop3.connect', 'pop3.auth', 'pop3.open', 'pop3.retrieve', 'pop3.delete', 'pop3.commit'] as const),
] satisfies readonly Stage[];

/** Stages that report and never delay anything: their results are ignored, their failures only logged. */
export const REPORT_STAGES = ['queued', 'delivered', 'deferred', 'bounced'] as const satisfies readonly Stage[];

/** What a plugin may change: headers at `message`, recipients at `rcpt` and `message`. Applied by core, in order. */
export type Edit =
  | { readonly edit: 'add-header'; readonly name: string; readonly value: string }
  /** Removes every header of that name, or those whose unfolded value `matching` (a substring, case-insensitive) is in. */
  | { readonly edit: 'remove-header'; readonly name: string; readonly matching?: string }
  | { readonly edit: 'replace-header'; readonly name: string; readonly value: string }
  | { readonly edit: 'add-recipient'; readonly address: string }
  | { readonly edit: 'remove-recipient'; readonly address: string }
  /**
   * At `message`: a verdict for one recipient (as given or as delivered to), with the fields of `reject` and `defer`.
   * Counts where the client is told of each (`perRecipient`), or where all recipients are refused.
   */
  | {
      readonly edit: 'reject-recipient' | 'defer-recipient';
      readonly address: string;
      readonly text: string;
      readonly code?: number;
      readonly enhanced?: string;
      readonly cause?: string;
    };

/** The closed list of what a hook may answer; nothing (undefined) means nothing to say. */
export type HookResult =
  | { readonly kind: 'evidence'; readonly evidence: readonly Evidence[] }
  | { readonly kind: 'edit'; readonly edits: readonly Edit[] }
  /** Let it pass and count no later plugin at this stage; at `message` scoring is skipped too. */
  | { readonly kind: 'accept'; readonly reason: string }
  /** 5xx. `code` defaults to 550, `enhanced` to 5.7.1. `text` is shown to the peer. */
  | {
      readonly kind: 'reject';
      readonly text: string;
      readonly code?: number;
      readonly enhanced?: string;
      readonly cause?: string;
    }
  /** 4xx. `code` defaults to 451, `enhanced` to 4.7.1. */
  | { readonly kind: 'defer'; readonly text: string; readonly code?: number; readonly enhanced?: string; readonly cause?: string }
  /** At `message` only. Later plugins still count: a reject or defer of theirs wins, an accept does not. */
  | { readonly kind: 'quarantine'; readonly reason: string };

/** What a hook function may return. */
export type HookAnswer = HookResult | readonly HookResult[] | undefined | void;

/** What happens when a hook throws, is late, runs out of memory or answers nonsense. */
export type OnFailure = 'defer' | 'pass';

/** Where a plugin runs: in the session thread, or on a thread of its kind. */
export type Isolation =
  | { readonly isolation: 'inline' }
  /** `compute`: one call at a time on a thread. `wait`: many calls at a time, for plugins that wait for a network. */
  | { readonly isolation: 'thread'; readonly pool: 'compute' | 'wait' };

/** What a plugin says of itself, checked when it is loaded. */
export interface PluginManifest {
  readonly name: string;
  readonly version: string;
  readonly contract: typeof CONTRACT_VERSION;
  readonly run: Isolation;
  readonly stages: readonly Stage[];
  /** Plugins (by name) whose results this one wants to have been given first; absent ones are no error. */
  readonly reads: readonly string[];
  readonly onFailure: OnFailure;
  readonly deadlineMs: number;
}

/** `enforce` counts; `shadow` runs, logs what it would have said and changes nothing. */
export type PluginMode = 'enforce' | 'shadow';

/** What a stage came to, after all its plugins were asked. */
export interface Verdict {
  readonly kind: 'pass' | 'accept' | 'reject' | 'defer' | 'quarantine';
  readonly evidence: readonly GivenEvidence[];
  readonly edits: readonly Edit[];
  /** Peer's text for reject and defer, reason for accept and quarantine. */
  readonly text?: string;
  readonly code?: number;
  readonly enhanced?: string;
  /** Private: for the log only. */
  readonly cause?: string;
  readonly plugin?: string;
}

/** What sessions and delivery hold of the pipeline: `null` where no plugin hooks the stage, so that it costs nothing. */
export type StageRunner<S extends Stage> = ((request: Requests[S]) => Verdict | Promise<Verdict>) | null;
export type Pipeline = { readonly [S in Stage]: StageRunner<S> };

/** Origin to session facts, for stages after the session is gone. */
export function factsOfOrigin(origin: Origin): SessionFacts {
  return {
    sessionId: origin.sessionId,
    listener: origin.listener,
    clientAddress: origin.clientAddress,
    clientPort: origin.clientPort,
    helo: origin.helo,
    ...(origin.user === undefined ? {} : { user: origin.user }),
  };
}

/** What plugins see of TLS: plain data that crosses to their threads. */
export function tlsForPlugins({ version, cipher, clientCertificate }: TlsFacts): NonNullable<SessionFacts['tls']> {
  return { version, cipher, ...(clientCertificate === undefined ? {} : { clientCertificate }) };
}
