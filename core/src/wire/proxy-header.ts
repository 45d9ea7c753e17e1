/**
 * The header that a load balancer puts before a connection's own bytes: HAProxy's PROXY protocol, version 1 (a line) and
 * version 2 (binary, with TLVs). Called by dispatch/proxied with all bytes so far. Strict: what is not wholly right is
 * bad, since whoever could slip one in would choose his own address. Bounded, pure, never throws.
 */
import { crc32c } from './crc32c.ts';

export interface ProxiedClient {
  readonly address: string;
  readonly port: number;
}

export type ProxyHeader =
  /** Not whole yet, and right so far. */
  | { readonly is: 'more' }
  /** `client` is undefined for the proxy's own connections (LOCAL, UNKNOWN): those are from whom they seem to be. */
  | { readonly is: 'whole'; readonly usedBytes: number; readonly client: ProxiedClient | undefined }
  | { readonly is: 'bad'; readonly cause: string };

/** The longest line of version 1, with its CRLF. */
const MAX_LINE_BYTES = 107;
/** Version 2 could say up to 64 KiB of TLVs; no proxy does. */
const MAX_BINARY_BYTES = 8 * 1024;

const LINE_START = Buffer.from('PROXY ');
const SIGNATURE = Buffer.from([0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a]);
const FIXED_BYTES = 16;

const LOCAL = 0;
const PROXY = 1;
/** Family and transport. */
const UNSPECIFIED = 0x00;
const TCP4 = 0x11;
const TCP6 = 0x21;
const UNIX_STREAM = 0x31;
const ADDRESS_BYTES: Readonly<Record<number, number>> = { [TCP4]: 12, [TCP6]: 36, [UNIX_STREAM]: 216 };
const TLV_CRC32C = 0x03;

const MORE: ProxyHeader = { is: 'more' };
const bad = (cause: string): ProxyHeader => ({ is: 'bad', cause });

/** Reads the header at the start of `bytes`. */
export function readProxyHeader(bytes: Buffer): ProxyHeader {
  if (beginsWith(bytes, SIGNATURE)) return bytes.length < FIXED_BYTES ? MORE : readBinary(bytes);
  return beginsWith(bytes, LINE_START) ? readLine(bytes) : bad('no PROXY header');
}

/** As far as there are bytes. */
function beginsWith(bytes: Buffer, start: Buffer): boolean {
  const length = Math.min(bytes.length, start.length);
  return bytes.subarray(0, length).equals(start.subarray(0, length));
}

function readLine(bytes: Buffer): ProxyHeader {
  const end = bytes.subarray(0, MAX_LINE_BYTES).indexOf('\r\n');
  if (end < 0) return bytes.length < MAX_LINE_BYTES ? MORE : bad('PROXY line is too long');
  const usedBytes = end + 2;
  const words = bytes.toString('latin1', 0, end).split(' ');
  const [, family = '', from = '', to = '', fromPort = '', toPort = ''] = words;
  // Whatever stands behind it.
  if (family === 'UNKNOWN') return { is: 'whole', usedBytes, client: undefined };
  const isAddress = family === 'TCP4' ? isIpv4 : family === 'TCP6' ? isIpv6 : () => false;
  if (words.length !== 6 || !isAddress(from) || !isAddress(to) || !isPort(fromPort) || !isPort(toPort)) {
    return bad('PROXY line is malformed');
  }
  return { is: 'whole', usedBytes, client: { address: plain(from.toLowerCase()), port: Number(fromPort) } };
}

function readBinary(bytes: Buffer): ProxyHeader {
  const versionAndCommand = bytes[12]!;
  const command = versionAndCommand & 0x0f;
  if (versionAndCommand >> 4 !== 2 || (command !== LOCAL && command !== PROXY)) return bad('PROXY version or command is unknown');
  const usedBytes = FIXED_BYTES + bytes.readUInt16BE(14);
  if (usedBytes > MAX_BINARY_BYTES) return bad('PROXY header is too long');
  if (bytes.length < usedBytes) return MORE;
  const family = bytes[13]!;
  // The rest is to be skipped, whatever it says.
  if (command === LOCAL || family === UNSPECIFIED) return { is: 'whole', usedBytes, client: undefined };
  const addressBytes = ADDRESS_BYTES[family];
  if (addressBytes === undefined) return bad('PROXY family is not a stream');
  const header = bytes.subarray(0, usedBytes);
  const tlvsAt = FIXED_BYTES + addressBytes;
  if (tlvsAt > usedBytes) return bad('PROXY addresses are cut short');
  const problem = checkTlvs(header, tlvsAt);
  if (problem !== undefined) return bad(problem);
  if (family === UNIX_STREAM) return { is: 'whole', usedBytes, client: undefined };
  const at = FIXED_BYTES;
  const client =
    family === TCP4
      ? { address: [...header.subarray(at, at + 4)].join('.'), port: header.readUInt16BE(at + 8) }
      : { address: ipv6Text(header.subarray(at, at + 16)), port: header.readUInt16BE(at + 32) };
  return { is: 'whole', usedBytes, client };
}

/** @returns what is wrong; TLVs are skipped, but for the checksum, which has to be right where it is. */
function checkTlvs(header: Buffer, from: number): string | undefined {
  let at = from;
  while (at < header.length) {
    if (at + 3 > header.length) return 'PROXY TLV is cut short';
    const valueAt = at + 3;
    const next = valueAt + header.readUInt16BE(at + 1);
    if (next > header.length) return 'PROXY TLV is cut short';
    if (header[at] === TLV_CRC32C) {
      if (next - valueAt !== 4) return 'PROXY checksum is malformed';
      const zeroed = Buffer.from(header).fill(0, valueAt, next);
      if (crc32c(zeroed) !== header.readUInt32BE(valueAt)) return 'PROXY checksum is wrong';
    }
    at = next;
  }
  return undefined;
}

function isIpv4(text: string): boolean {
  const parts = text.split('.');
  return parts.length === 4 && parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) <= 255);
}

function isIpv6(text: string): boolean {
  return text.includes(':') && /^[0-9a-fA-F:.]+$/.test(text) && URL.canParse(`http://[${text}]/`);
}

function isPort(text: string): boolean {
  return /^(0|[1-9]\d{0,4})$/.test(text) && Number(text) <= 65_535;
}

/** IPv4 under its own name, as the listener has it of sockets. */
function plain(address: string): string {
  return address.startsWith('::ffff:') && address.includes('.') ? address.slice(7) : address;
}

/** RFC 5952 §4: lower case, no leading zeros, the longest run of zero groups as `::`. */
function ipv6Text(bytes: Buffer): string {
  const mapped = bytes.readUInt32BE(0) === 0 && bytes.readUInt32BE(4) === 0 && bytes.readUInt32BE(8) === 0xffff;
  if (mapped) return [...bytes.subarray(12)].join('.');
  const groups = Array.from({ length: 8 }, (_none, index) => bytes.readUInt16BE(index * 2));
  let best = { from: 0, length: 0 };
  for (let from = 0; from < 8; from += 1) {
    let length = 0;
    while (groups[from + length] === 0) length += 1;
    if (length > best.length) best = { from, length };
  }
  const text = (some: number[]): string => some.map((group) => group.toString(16)).join(':');
  if (best.length < 2) return text(groups);
  return `${text(groups.slice(0, best.from))}::${text(groups.slice(best.from + best.length))}`;
}
