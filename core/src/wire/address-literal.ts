/**
 * Address literals, `[192.0.2.1]` and `[IPv6:2001:db8::1]` (RFC 5321 §4.1.3): read for wire/address and for HELO,
 * written for the trace header. Literals with another tag are refused: none is registered. Pure, never throws.
 */

/**
 * Reads the literal that starts at `from` and ends with the next `]`.
 * @returns it with its brackets, in the one spelling of its address; undefined when it is none.
 */
export function addressLiteral(text: string, from: number): string | undefined {
  const close = text.indexOf(']', from);
  if (text[from] !== '[' || close < 0) return undefined;
  const inside = text.slice(from + 1, close);
  const isTagged = inside.slice(0, 5).toLowerCase() === 'ipv6:';
  const address = isTagged ? canonicalIpv6(inside.slice(5)) : canonicalIpv4(inside);
  return address === undefined ? undefined : literalOf(address);
}

/**
 * One spelling for each address: decimal numbers without leading zeros, which systems read as octal; IPv6 as RFC 5952 §4
 * has it; an IPv4 address mapped into IPv6 as itself.
 * @returns undefined when it is no address
 */
export function canonicalAddress(text: string): string | undefined {
  return text.includes(':') ? canonicalIpv6(text) : canonicalIpv4(text);
}

/** An address as it stands in a trace header: `[192.0.2.1]` or `[IPv6:2001:db8::1]`. */
export function literalOf(address: string): string {
  if (!address.includes(':')) return `[${address}]`;
  const mapped = mappedIpv4(address);
  return mapped === undefined ? `[IPv6:${address}]` : `[${mapped}]`;
}

/** True for 127.0.0.0/8 and ::1, also as an IPv4 address mapped into IPv6. */
export function isLoopback(address: string): boolean {
  return address === '::1' || (mappedIpv4(address) ?? address).startsWith('127.');
}

/** The IPv4 address in `::ffff:192.0.2.1`, as a socket that listens on `::` gives it. */
function mappedIpv4(address: string): string | undefined {
  return address.toLowerCase().startsWith('::ffff:') && address.includes('.') ? address.slice(7) : undefined;
}

function canonicalIpv4(text: string): string | undefined {
  const parts = text.split('.');
  const isAddress = parts.length === 4 && parts.every((part) => /^\d{1,3}$/.test(part) && Number(part) <= 255);
  return isAddress ? parts.map(Number).join('.') : undefined;
}

function canonicalIpv6(text: string): string | undefined {
  if (!isIpv6(text.toLowerCase())) return undefined;
  const tail = canonicalIpv4(text.slice(text.lastIndexOf(':') + 1));
  const whole = tail === undefined ? text : text.slice(0, text.lastIndexOf(':') + 1) + tail;
  const plain = URL.parse(`http://[${whole}]/`)?.hostname.slice(1, -1);
  const [, high, low] = /^::ffff:([0-9a-f]+):([0-9a-f]+)$/.exec(plain ?? '') ?? [];
  if (high === undefined || low === undefined) return plain;
  const bits = [high, low].map((group) => Number.parseInt(group, 16));
  return bits.flatMap((group) => [group >> 8, group & 255]).join('.');
}

function isIpv6(text: string): boolean {
  if (text.length > 45) return false;
  const halves = text.split('::');
  if (halves.length > 2) return false;
  let groups = 0;
  for (const [index, half] of halves.entries()) {
    if (half === '') continue;
    const parts = half.split(':');
    for (const [position, part] of parts.entries()) {
      const last = index === halves.length - 1 && position === parts.length - 1;
      if (last && part.includes('.')) {
        if (canonicalIpv4(part) === undefined) return false;
        groups += 2;
      } else {
        if (!/^[0-9a-f]{1,4}$/.test(part)) return false;
        groups += 1;
      }
    }
  }
  return halves.length === 2 ? groups <= 7 : groups === 8;
}
