/** Lists of addresses and ranges from the configuration, as a question. */
import { BlockList, isIPv6 } from 'node:net';

/**
 * @param ranges addresses or CIDR ranges, checked by the configuration's schema
 * @returns whether an address is in one of them; an IPv4 address mapped into IPv6 counts as itself
 */
export function createAddressMatcher(ranges: readonly string[]): (address: string) => boolean {
  if (ranges.length === 0) return () => false;
  const list = new BlockList();
  for (const range of ranges) {
    const [address = '', prefix] = range.split('/');
    const family = isIPv6(address) ? 'ipv6' : 'ipv4';
    list.addSubnet(address, prefix === undefined ? (family === 'ipv6' ? 128 : 32) : Number(prefix), family);
  }
  return (address) => list.check(address, isIPv6(address) ? 'ipv6' : 'ipv4');
}
