/** The network that a client's failures and connections are counted for: one IPv4 address, or the /64 an IPv6 user can choose addresses from. */

/**
 * @param address as the socket gives it; a zone (`%eth0`) and the IPv4-mapped form (`::ffff:192.0.2.1`) are understood.
 * @returns a key; addresses of the same network have the same one.
 */
export function clientNetwork(address: string): string {
  if (!address.includes(':')) return address;
  const bare = (address.split('%', 1)[0] ?? '').toLowerCase();
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/.exec(bare);
  if (mapped?.[1] !== undefined) return mapped[1];
  const [front = '', back] = bare.split('::', 2);
  const groups = front === '' ? [] : front.split(':');
  if (back !== undefined) {
    const tail = back === '' ? [] : back.split(':');
    // A dotted quad at the end stands for two groups.
    const tailGroups = tail.length + (tail.at(-1)?.includes('.') === true ? 1 : 0);
    while (groups.length + tailGroups < 8) groups.push('0');
    groups.push(...tail);
  }
  return `${groups
    .slice(0, 4)
    .map((group) => group.replace(/^0+(?=.)/, ''))
    .join(':')}::/64`;
}

/** @returns a key of the /48 around an IPv6 client, the largest block that one customer is commonly given; undefined for IPv4. */
export function clientSite(address: string): string | undefined {
  const network = clientNetwork(address);
  return network.endsWith('::/64') ? `${network.split(':').slice(0, 3).join(':')}::/48` : undefined;
}
