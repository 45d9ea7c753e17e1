/**
 * Names of machines as an operator writes them: networks, addresses to listen on, resolvers, domains, next hops.
 * Used by the schema. What passes here is what Node takes at the start: a slip is found by `posthorn check`, not by a
 * server that comes down.
 */
import { domainToASCII } from 'node:url';
import { z } from 'zod';

const NETWORK_EXPECTED = 'expected an address or a network, such as 192.0.2.0/24 or "2001:db8::/32"';
export const network = z.union([z.ipv4(), z.ipv6(), z.cidrv4(), z.cidrv6()], { error: NETWORK_EXPECTED });

const isIpv4 = (text: string): boolean => z.ipv4().safeParse(text).success;
const isIpv6 = (text: string): boolean => z.ipv6().safeParse(text).success;

/** A name, or an address: what is all digits and dots is no name, and only IPv6 stands in brackets. */
function isHost(text: string): boolean {
  if (text.startsWith('[')) return text.endsWith(']') && isIpv6(text.slice(1, -1));
  return /^[\d.]*$/.test(text) ? isIpv4(text) : true;
}

const LISTEN_EXPECTED = 'expected "address:port", such as "0.0.0.0:25" or "[::]:25"';
export const hostPort = z
  .string()
  .regex(/^(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+):\d{1,5}$/, LISTEN_EXPECTED)
  .refine((text) => isHost(text.slice(0, text.lastIndexOf(':'))), { error: LISTEN_EXPECTED })
  .refine((text) => isPort(text.slice(text.lastIndexOf(':') + 1), 0), { error: 'expected a port between 0 and 65535' });

function isPort(digits: string, lowest: number): boolean {
  return Number(digits) >= lowest && Number(digits) <= 65535;
}

const RESOLVER_EXPECTED = 'expected an address, such as "192.0.2.53" or "192.0.2.53:5353"';
export const resolver = z
  .string()
  .regex(/^(\[[0-9a-fA-F:.]+\](:\d{1,5})?|[0-9.]+(:\d{1,5})?|[0-9a-fA-F:.]+)$/, RESOLVER_EXPECTED)
  .refine(isResolver, { error: RESOLVER_EXPECTED });

function isResolver(text: string): boolean {
  if (isIpv6(text)) return true;
  const [, address = '', port] = /^(\[.*\]|[^:]*)(?::(\d+))?$/.exec(text) ?? [];
  return address !== '' && isHost(address) && (port === undefined || isPort(port, 1));
}

export const domainName = z
  .string()
  .max(253, 'expected a domain name of at most 253 characters')
  .regex(
    /^[\p{L}\p{N}_]([\p{L}\p{N}_-]*[\p{L}\p{N}_])?(\.[\p{L}\p{N}_]([\p{L}\p{N}_-]*[\p{L}\p{N}_])?)*$/u,
    'expected a domain name, such as example.org',
  );

/** The name this server says of itself: in A-labels, since banner, EHLO and header lines are ASCII. */
export const ownName = domainName
  .refine((name) => domainToASCII(name) !== '', { error: 'expected a domain name, such as example.org' })
  .transform((name) => (/^[\x21-\x7e]*$/.test(name) ? name : domainToASCII(name)));

/** `smtp:` and `smtps:` with a host, an optional port, and a login where it makes sense. */
function isServerUrl(text: string, withLogin: boolean): boolean {
  const url = URL.parse(text);
  if (url === null || !/^(\[.*\]|[A-Za-z0-9._%-]+)$/.test(url.hostname) || !isHost(url.hostname)) return false;
  if (url.search !== '' || url.hash !== '' || url.port === '0' || !['', '/'].includes(url.pathname)) return false;
  return withLogin ? url.username !== '' || url.password === '' : url.username === '' && url.password === '';
}

/**
 * What the URL parser lets pass and nothing could be done with: a host beyond ASCII, which it gives percent-encoded, and
 * a percent sign in a login that stands for itself.
 */
function isEncoded(text: string): boolean {
  const url = URL.parse(text);
  if (url === null) return true;
  try {
    return !url.hostname.includes('%') && decodeURIComponent(`${url.username} ${url.password}`) !== '';
  } catch (error) {
    if (error instanceof URIError) return false;
    throw error;
  }
}

const ENCODED_EXPECTED = 'expected a host in ASCII (xn--…), and %25 for a percent sign in user or secret';

/** Octets of the path of a unix socket that every system takes. */
const MAX_SOCKET_PATH = 103;

/** `lmtp:/path` of a unix socket, or `lmtp://host:port`; no port is LMTP's own, and 25 is SMTP's (RFC 2033 §5). */
function isLmtpUrl(text: string, withLogin: boolean): boolean {
  const url = URL.parse(text);
  if (url === null) return false;
  if (url.hostname !== '') return isServerUrl(text, withLogin) && url.port !== '' && url.port !== '25';
  const { pathname } = url;
  return /^lmtp:\/[^/]/.test(text) && url.search === '' && url.hash === '' && isPath(pathname);
}

function isPath(pathname: string): boolean {
  try {
    const path = decodeURIComponent(pathname);
    return !path.endsWith('/') && !path.includes('\0') && Buffer.byteLength(path) <= MAX_SOCKET_PATH;
  } catch (error) {
    if (error instanceof URIError) return false;
    throw error;
  }
}

const isNextHop = (text: string, withLogin: boolean): boolean =>
  text.startsWith('lmtp:') ? isLmtpUrl(text, withLogin) : isServerUrl(text, withLogin);

const VIA_EXPECTED =
  'expected "smtp://host:port", "smtps://user:secret@host:465", "lmtp://host:port", "lmtp:/path/of/socket" or "discard:"';
export const via = z
  .string()
  .regex(/^(smtps?:\/\/\S+|lmtp:\/\S+|discard:)$/, VIA_EXPECTED)
  .refine((text) => text === 'discard:' || isNextHop(text, true), { error: VIA_EXPECTED })
  .refine(isEncoded, { error: ENCODED_EXPECTED });

const DELIVER_EXPECTED = 'expected "maildir", "smtp://host:port", "lmtp://host:port" or "lmtp:/path/of/socket"';
export const deliver = z
  .string()
  .regex(/^(maildir|smtp:\/\/\S+|lmtp:\/\S+)$/, DELIVER_EXPECTED)
  .refine((text) => text === 'maildir' || isNextHop(text, false), { error: DELIVER_EXPECTED })
  .refine(isEncoded, { error: ENCODED_EXPECTED });
