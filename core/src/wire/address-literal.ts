/**
 * Address literals, `[192.0.2.1]` and `[IPv6:2001:db8::1]` (RFC 5321 §4.1.3): read for wire/address and for HELO,
 * written for the trace header. Literals with another tag are refused: none is registered. Pure, never throws.
 */

/**
 * Reads the literal that starts at `from`.
 * @returns it with its brackets, the IPv6 address in lower case; undefined when it is none.
 */
export function addressLiteral(text: string, from: number): string | undefined {
  const close = text.indexOf(']', from);
  if (text[from] !== '[' || close < 0) return undefined;
  const inside = text.slice(from + 1, close);
  if (isIpv4(inside)) return `[${inside}]`;
  if (inside.slice(0, 5).toLowerCase() !== 'ipv6:') return undefined;
  const address = inside.slice(5).toLowerCase();
  return isIpv6(address) ? `[IPv6:${address}]` : undefined;
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

function isIpv4(text: string): boolean {
  const parts = text.split('.');
  return parts.length === 4 && parts.every((part) => /^\d{1,3}$/.test(part) && Number(part) <= 255);
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
        if (!isIpv4(part)) return false;
        groups += 2;
      } else {
        if (!/^[0-9a-f]{1,4}$/.test(part)) return false;
        groups += 1;
      }
    }
  }
  return halves.length === 2 ? groups <= 7 : groups === 8;
}
