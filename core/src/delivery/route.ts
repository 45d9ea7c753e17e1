/**
 * Decides the next hop of a recipient. Called by delivery/loop for each recipient of a message; pure: no DNS, no socket.
 * Order: a mailbox here; our domains that another server keeps (`domains.*.deliver`); `relay.routes`, first match wins;
 * an address literal; the smart host `relay.via`; else the MX hosts of the domain.
 * Recipients with the same `key` go to the same place and share connections; so what needs another trust has another key. An address that cannot be spoken in SMTP
 * gets a `refused` hop with the reply it deserves. Only compiling bad rules throws, once, at start or reload.
 */
import { domainToASCII } from 'node:url';
import type { Envelope, Recipient } from '../mail/envelope.ts';
import { NOT_RELAYED } from '../mail/quarantine.ts';
import { addressLiteral, isLoopback } from '../wire/address-literal.ts';

export type TlsMode = 'opportunistic' | 'never' | 'required';

/**
 * What a message asks of the connection it goes over, where that is not the usual (RFC 8689).
 * - `requiretls`: TLS to a host that has proven to be the one that is meant, and that promises the same for its next hops.
 * - `protected`: the same, whatever the host promises; for the notice about such a message (§5).
 * - `optional`: what the recipient's domain asks of TLS is not heeded.
 */
export type Trust = 'requiretls' | 'protected' | 'optional';

/** The parts of the configuration that say where mail goes. */
export interface RouteRules {
  readonly domains: Readonly<Record<string, { readonly deliver: string }>>;
  readonly relay: {
    readonly via: string | null;
    readonly routes: readonly { readonly to: string; readonly via: string }[];
    /** Port of MX hosts. */
    readonly port: number;
    readonly tls: TlsMode;
    /** What domains publish about TLS to them is heeded. */
    readonly mtaSts: boolean;
    /** Signed and encrypted mail is converted like other for hosts that do not take it as it is. */
    readonly convertSigned: boolean;
  };
}

export interface Credentials {
  readonly user: string;
  readonly secret: string;
}

/** A server named in the configuration. */
export interface HostHop {
  readonly to: 'host';
  readonly key: string;
  readonly host: string;
  readonly port: number;
  /** A unix socket of this machine, in place of host and port. */
  readonly socketPath?: string;
  /** Each recipient has its own reply at the end of a message (RFC 2033); SMTP when absent. */
  readonly protocol?: 'lmtp';
  readonly tls: TlsMode | 'implicit';
  readonly credentials?: Credentials;
  readonly trust?: Trust;
}

/** The MX hosts of a domain, or an address literal (then `domain` is the bare address). */
export interface DomainHop {
  readonly to: 'mx' | 'literal';
  readonly key: string;
  readonly domain: string;
  readonly port: number;
  readonly tls: TlsMode;
  readonly trust?: Trust;
  /** Hosts that cannot take what goes this way: for the others. */
  readonly without?: readonly string[];
}

export type RemoteHop = HostHop | DomainHop;

export type NextHop =
  | { readonly to: 'mailbox'; readonly key: string; readonly mailbox: string }
  | { readonly to: 'discard'; readonly key: string }
  | { readonly to: 'refused'; readonly key: string; readonly reply: string }
  | RemoteHop;

/** The parts of an envelope that say where it may go, and over what. */
export type Passport = Pick<Envelope, 'quarantine' | 'requireTls' | 'tlsOptional'> & Partial<Pick<Envelope, 'reversePath'>>;

export type Router = (recipient: Recipient, envelope: Passport) => NextHop;

const NOT_RELAYED_REPLY = `${NOT_RELAYED.code} ${NOT_RELAYED.enhanced} ${NOT_RELAYED.text}`;

/** What could end or open an SMTP command, and control characters of every kind; UTF-8 is for remote/client to decide on. */
const UNSPEAKABLE = /[^\x20-\x7e\u{a0}-\u{10ffff}]|[<>]/u;

/** True when `address` can stand between `<` and `>` in a command; the empty reverse-path can. */
export function isSpeakable(address: string): boolean {
  return address.length <= 512 && !UNSPEAKABLE.test(address);
}

/**
 * Reads `smtp://host:port`, `smtps://user:secret@host:port`, `lmtp://host:port`, `lmtp:/path/of/socket` or `discard:`.
 * User, secret and path are percent-decoded. Ports default to 25 and 465; LMTP has none of its own.
 * @throws TypeError when it is none of them
 */
export function parseVia(via: string, tls: TlsMode): HostHop | { readonly to: 'discard'; readonly key: string } {
  if (via === 'discard:') return { to: 'discard', key: 'discard' };
  const url = new URL(via);
  const lmtp = url.protocol === 'lmtp:';
  if (lmtp && url.hostname === '' && url.pathname.startsWith('/')) {
    // What stays on this machine needs no TLS.
    const socketPath = decodeURIComponent(url.pathname);
    return { to: 'host', key: `lmtp:${socketPath}`, host: 'localhost', port: 0, socketPath, protocol: 'lmtp', tls: 'never' };
  }
  const implicit = url.protocol === 'smtps:';
  if ((!implicit && !lmtp && url.protocol !== 'smtp:') || url.hostname === '' || (lmtp && url.port === ''))
    throw new TypeError(`not a next hop: ${url.protocol}`);
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1').toLowerCase();
  const port = url.port === '' ? (implicit ? 465 : 25) : Number(url.port);
  const user = decodeURIComponent(url.username);
  // The secret is no part of the key, which is shown in logs; the user is, since connections are logged in.
  const key = `${url.protocol}//${user === '' ? '' : `${encodeURIComponent(user)}@`}${host}:${port}`;
  const hop: HostHop = { to: 'host', key, host, port, tls: implicit ? 'implicit' : tls, ...(lmtp ? { protocol: 'lmtp' } : {}) };
  return user === '' ? hop : { ...hop, credentials: { user, secret: decodeURIComponent(url.password) } };
}

/** The domain of an address in lower case, or undefined when there is none. */
function domainOf(address: string): string | undefined {
  const at = address.lastIndexOf('@');
  return at < 1 || at === address.length - 1 ? undefined : address.slice(at + 1).toLowerCase();
}

/** A domain of the configuration as it stands in addresses: lower case, A-labels. */
function inAddresses(domain: string): string {
  const lower = domain.toLowerCase();
  return /^[\x21-\x7e]*$/.test(lower) ? lower : domainToASCII(lower) || lower;
}

function makeMatcher(to: string): (domain: string) => boolean {
  const pattern = to.startsWith('*.') ? `*.${inAddresses(to.slice(2))}` : inAddresses(to);
  if (pattern === '*') return () => true;
  if (!pattern.startsWith('*.')) return (domain) => domain === pattern;
  const suffix = pattern.slice(1);
  return (domain) => domain.length > suffix.length && domain.endsWith(suffix);
}

/** Hosts that are asked before a message fails for what they do not offer: a domain may name others at each question. */
const MAX_UNABLE = 10;

/** The other hosts of a domain, for a message that this one of them cannot take; undefined where nobody else is asked. */
export function withoutHost(hop: RemoteHop, host: string): RemoteHop | undefined {
  if (hop.to !== 'mx') return undefined;
  const without = [...(hop.without ?? []), host];
  if (without.length >= MAX_UNABLE) return undefined;
  return { ...hop, key: `${hop.key} without ${host}`, without };
}

function trustFor({ requireTls, tlsOptional, reversePath }: Passport): Trust | undefined {
  if (requireTls === true) return reversePath === '' ? 'protected' : 'requiretls';
  return tlsOptional === true ? 'optional' : undefined;
}

/** Given to who keeps the mail on this machine (RFC 8689 §4.4): that goes over no network, and no further. */
function isDeliveredHere(hop: RemoteHop): boolean {
  if (hop.to !== 'host' || hop.protocol !== 'lmtp') return false;
  return hop.socketPath !== undefined || hop.host === 'localhost' || isLoopback(hop.host);
}

/** The same hop for what needs another trust than most mail. */
function withTrust(hop: RemoteHop, trust: Trust | undefined): NextHop {
  if (trust === undefined || isDeliveredHere(hop)) return hop;
  if (trust !== 'optional' && hop.tls === 'never') {
    const reply = '550 5.7.10 message needs TLS, which is never used here';
    return { to: 'refused', key: `refused ${reply}`, reply };
  }
  return { ...hop, key: `${hop.key} ${trust}`, trust };
}

/**
 * Compiles the rules into one function, asked for each recipient.
 * @throws TypeError for a `via` that is no next hop; the configuration's schema has refused those before.
 */
export function makeRouter(rules: RouteRules): Router {
  const { relay } = rules;
  const ours = new Map<string, HostHop>();
  for (const [domain, { deliver }] of Object.entries(rules.domains)) {
    if (deliver === 'maildir') continue;
    const hop = parseVia(deliver, relay.tls);
    if (hop.to === 'host') ours.set(inAddresses(domain), hop);
  }
  const routes = relay.routes.map(({ to, via }) => ({ matches: makeMatcher(to), hop: parseVia(via, relay.tls) }));
  const smartHost = relay.via === null ? undefined : parseVia(relay.via, relay.tls);
  const mailDomains = new Set(Object.keys(rules.domains).map(inAddresses));

  function refuse(reply: string): NextHop {
    return { to: 'refused', key: `refused ${reply}`, reply };
  }

  function route(domain: string): NextHop {
    const own = ours.get(domain);
    if (own !== undefined) return own;
    // The mailbox was there at RCPT and its domain's users have changed since, or an alias leads to nobody.
    if (mailDomains.has(domain)) return refuse('550 5.1.1 no such user here');
    for (const { matches, hop } of routes) if (matches(domain)) return hop;
    const literal = domain.indexOf(']') === domain.length - 1 ? addressLiteral(domain, 0) : undefined;
    const { port, tls } = relay;
    if (literal !== undefined) {
      const address = literal.replace(/^\[(?:IPv6:)?(.*)\]$/, '$1');
      return { to: 'literal', key: `${literal}:${port}`, domain: address, port, tls };
    }
    if (domain.startsWith('[')) return refuse('550 5.1.2 not an address literal');
    return smartHost ?? { to: 'mx', key: `mx:${domain}:${port}`, domain, port, tls };
  }

  return (recipient, envelope) => {
    if (recipient.mailbox !== undefined) {
      return { to: 'mailbox', key: `maildir:${recipient.mailbox}`, mailbox: recipient.mailbox };
    }
    if (!isSpeakable(recipient.address)) return refuse('553 5.1.3 address is malformed');
    const domain = domainOf(recipient.address);
    if (domain === undefined) return refuse('553 5.1.3 address without a domain');
    const hop = route(domain);
    if (hop.to === 'refused' || hop.to === 'discard' || hop.to === 'mailbox') return hop;
    // The organisation's own next server files it apart by its header (docs/decisions/quarantine.md).
    if (envelope.quarantine !== undefined && !ours.has(domain)) return refuse(NOT_RELAYED_REPLY);
    return withTrust(hop, trustFor(envelope));
  };
}
