/**
 * The ESMTP parameters of MAIL and RCPT (RFC 5321 §4.1.1.11): SIZE (RFC 1870), BODY (RFC 6152 and 3030 §3), SMTPUTF8
 * (RFC 6531 §3.4), AUTH (RFC 4954 §5), PRDR, and what is asked of delivery (smtp/requests).
 * Called by the verbs with what stands after the path; strict: what is not understood is refused, never skipped, and
 * so is what this listener does not announce. One table has a row for each keyword.
 */
import type { BodyKind, DeliverBy, Hold, Notify } from '../mail/envelope.ts';
import type { Reply } from '../wire/reply.ts';
import type { Conversation } from './conversation.ts';
import {
  badParameter501,
  deliverByTooSoon555,
  duplicateParameter501,
  heldTooLongForBy501,
  holdTooLong501,
  tlsForRequireTls530,
  unknownParameter555,
} from './replies.ts';
import { isEnvid, isOrcpt, isXtext, readBy, readHoldFor, readHoldUntil, readNotify, readPriority } from './requests.ts';

/** What a client asks of delivery, as it goes into the envelope. */
export interface DeliveryRequests {
  readonly ret?: 'full' | 'headers';
  readonly envid?: string;
  readonly deliverBy?: DeliverBy;
  readonly hold?: Hold;
  readonly priority?: number;
  readonly requireTls?: true;
}

export interface MailParameters {
  /** SIZE=, in bytes. */
  readonly sizeBytes: number | undefined;
  readonly body: BodyKind;
  /** SMTPUTF8 (RFC 6531 §3.4). */
  readonly smtpUtf8: boolean;
  /** PRDR: the client reads a verdict for each recipient (draft-hall-prdr §4.2). */
  readonly prdr: boolean;
  readonly requests: DeliveryRequests;
  /** MT-PRIORITY asked for more than this client may have (RFC 6710 §5.1): it is told. */
  readonly priorityLowered: boolean;
}

/** RCPT's parameters, as they go into the envelope. */
export interface RcptParameters {
  readonly notify?: readonly Notify[];
  readonly orcpt?: string;
}

type Writable<T> = { -readonly [K in keyof T]: T[K] };
interface Draft extends Omit<Writable<MailParameters>, 'requests'> {
  readonly requests: Writable<DeliveryRequests>;
}

/** Reads one value into the draft; undefined value: the keyword stood alone. @returns the reply that refuses it. */
type Row<Into> = (into: Into, value: string | undefined, conversation: Conversation) => Reply | undefined;

const NOTHING: DeliveryRequests = {};
const NO_PARAMETERS: MailParameters = {
  sizeBytes: undefined,
  body: '7bit',
  smtpUtf8: false,
  prdr: false,
  requests: NOTHING,
  priorityLowered: false,
};
const NO_RCPT_PARAMETERS: RcptParameters = {};
const BODIES = new Map<string, BodyKind>([
  ['7BIT', '7bit'],
  ['8BITMIME', '8bitmime'],
  ['BINARYMIME', 'binarymime'],
]);

const MAIL_ROWS: ReadonlyMap<string, Row<Draft>> = new Map<string, Row<Draft>>([
  [
    'SIZE',
    (draft, value) => {
      draft.sizeBytes = parseSize(value);
      return draft.sizeBytes === undefined ? badParameter501 : undefined;
    },
  ],
  [
    'BODY',
    (draft, value) => {
      const kind = BODIES.get((value ?? '').toUpperCase());
      if (kind === undefined) return value === undefined ? badParameter501 : unknownParameter555;
      draft.body = kind;
      return undefined;
    },
  ],
  [
    'SMTPUTF8',
    (draft, value) => {
      draft.smtpUtf8 = true;
      return value === undefined ? undefined : badParameter501;
    },
  ],
  [
    'PRDR',
    (draft, value, { isLmtp }) => {
      // Over LMTP each recipient has a reply anyway.
      if (isLmtp) return unknownParameter555;
      draft.prdr = true;
      return value === undefined ? undefined : badParameter501;
    },
  ],
  [
    'AUTH',
    (_draft, value, { profile }) => {
      if (profile.kind !== 'submission') return unknownParameter555;
      return value === '<>' || isXtext(value ?? '') ? undefined : badParameter501;
    },
  ],
  [
    'RET',
    (draft, value, { profile }) => {
      if (!profile.requests.dsn) return unknownParameter555;
      const upper = value?.toUpperCase();
      if (upper !== 'FULL' && upper !== 'HDRS') return badParameter501;
      draft.requests.ret = upper === 'FULL' ? 'full' : 'headers';
      return undefined;
    },
  ],
  [
    'ENVID',
    (draft, value, { profile }) => {
      if (!profile.requests.dsn) return unknownParameter555;
      if (value === undefined || !isEnvid(value)) return badParameter501;
      draft.requests.envid = value;
      return undefined;
    },
  ],
  [
    'BY',
    (draft, value, { profile, ports }) => {
      const least = profile.requests.minDeliverBySeconds;
      if (least === null) return unknownParameter555;
      const by = readBy(value ?? '', ports.clock.now());
      if (by === undefined) return badParameter501;
      const { seconds, ...deliverBy } = by;
      if (deliverBy.mode === 'return' && seconds < least) return deliverByTooSoon555;
      draft.requests.deliverBy = deliverBy;
      return undefined;
    },
  ],
  [
    'HOLDFOR',
    (draft, value = '', conversation) => {
      const ms = readHoldFor(value);
      const untilMs = ms === undefined ? undefined : conversation.ports.clock.now() + ms;
      return hold(draft, conversation, untilMs, `for;${value}`);
    },
  ],
  [
    'HOLDUNTIL',
    (draft, value = '', conversation) => hold(draft, conversation, readHoldUntil(value), `until;${value.toUpperCase()}`),
  ],
  [
    'MT-PRIORITY',
    (draft, value, { profile, client }) => {
      if (!profile.requests.priority) return unknownParameter555;
      const priority = readPriority(value ?? '');
      if (priority === undefined) return badParameter501;
      // Anybody may let others go first.
      draft.priorityLowered = priority > 0 && client.user === undefined && !client.isRelayHost;
      if (priority !== 0 && !draft.priorityLowered) draft.requests.priority = priority;
      return undefined;
    },
  ],
  [
    'REQUIRETLS',
    (draft, value, { profile, client }) => {
      if (!profile.requests.requireTls) return unknownParameter555;
      if (value !== undefined) return badParameter501;
      if (client.tls === undefined) return tlsForRequireTls530;
      draft.requests.requireTls = true;
      return undefined;
    },
  ],
]);

const RCPT_ROWS: ReadonlyMap<string, Row<Writable<RcptParameters>>> = new Map<string, Row<Writable<RcptParameters>>>([
  [
    'NOTIFY',
    (into, value, { profile }) => {
      if (!profile.requests.dsn) return unknownParameter555;
      const notify = readNotify(value ?? '');
      if (notify === undefined) return badParameter501;
      into.notify = notify;
      return undefined;
    },
  ],
  [
    'ORCPT',
    (into, value, { profile, transaction }) => {
      if (!profile.requests.dsn) return unknownParameter555;
      if (value === undefined || !isOrcpt(value, transaction?.parameters.smtpUtf8 === true)) return badParameter501;
      into.orcpt = value;
      return undefined;
    },
  ],
]);

/**
 * Reads MAIL's parameters.
 * @param rest what stands after the closing bracket of the path, trailing blanks taken off.
 * @returns 501 for a bad or repeated parameter, 555 for one that is unknown or not announced here.
 */
export function parseMailParameters(rest: string, conversation: Conversation): MailParameters | Reply {
  if (rest === '') return NO_PARAMETERS;
  const draft: Draft = { ...NO_PARAMETERS, requests: {} };
  const refusal = readInto(draft, rest, MAIL_ROWS, conversation);
  if (refusal !== undefined) return refusal;
  const { hold, deliverBy, requireTls, ret } = draft.requests;
  // RFC 8689 §5: the notice is not to spread what was to stay secret.
  if (requireTls === true && ret === 'full') draft.requests.ret = 'headers';
  // RFC 4865 §5.2.2: both cannot be kept.
  return hold !== undefined && deliverBy !== undefined && hold.untilMs > deliverBy.atMs ? heldTooLongForBy501 : draft;
}

/** Reads RCPT's parameters, as `parseMailParameters` does MAIL's. */
export function parseRcptParameters(rest: string, conversation: Conversation): RcptParameters | Reply {
  if (rest === '') return NO_RCPT_PARAMETERS;
  const parameters: Writable<RcptParameters> = {};
  return readInto(parameters, rest, RCPT_ROWS, conversation) ?? parameters;
}

function readInto<Into>(
  into: Into,
  rest: string,
  rows: ReadonlyMap<string, Row<Into>>,
  conversation: Conversation,
): Reply | undefined {
  const words = splitParameters(rest);
  if (words === undefined) return badParameter501;
  const seen = new Set<string>();
  for (const word of words) {
    const equals = word.indexOf('=');
    const keyword = (equals < 0 ? word : word.slice(0, equals)).toUpperCase();
    const row = rows.get(keyword);
    if (row === undefined) return unknownParameter555;
    if (seen.has(keyword)) return duplicateParameter501;
    seen.add(keyword);
    const refusal = row(into, equals < 0 ? undefined : word.slice(equals + 1), conversation);
    if (refusal !== undefined) return refusal;
  }
  return undefined;
}

/** Both ways to say until when (RFC 4865 §4); a time that is past holds nothing, since clocks differ. */
function hold(
  { requests }: Draft,
  { profile, ports }: Conversation,
  untilMs: number | undefined,
  request: string,
): Reply | undefined {
  const { maxHoldSeconds } = profile.requests;
  if (maxHoldSeconds === 0 || profile.kind !== 'submission') return unknownParameter555;
  if (untilMs === undefined) return badParameter501;
  if (requests.hold !== undefined) return duplicateParameter501;
  requests.hold = { untilMs, request };
  return untilMs > ports.clock.now() + maxHoldSeconds * 1000 ? holdTooLong501 : undefined;
}

/** Parameters stand after a blank each, as keyword or keyword=value of printable characters (RFC 6531 §3.3); undefined when they do not. */
function splitParameters(rest: string): string[] | undefined {
  const words = rest.split(' ');
  if (words[0] !== '') return undefined;
  const parameters = words.filter((word) => word !== '');
  return parameters.every((word) => /^[A-Za-z0-9][A-Za-z0-9-]*(?:=[!-<>-~\u00a0-\u{10ffff}]+)?$/u.test(word))
    ? parameters
    : undefined;
}

/** Digits, at most 20 (RFC 1870 §4). A size that a number holds only roughly is too large whatever its last digits are. */
function parseSize(value: string | undefined): number | undefined {
  return value !== undefined && /^\d{1,20}$/.test(value) ? Number(value) : undefined;
}
