/** Whether an address and port lead back to this server, so that a route to ourselves is told as a loop. */
import { networkInterfaces } from 'node:os';
import type { ListenerConfig } from '@posthorn/config';

/**
 * @param listeners asked each time, since a reload may change them; what they come to is kept while they are the same.
 * @returns the question for delivery: our own addresses on a port we listen on.
 */
export function isSelf(listeners: () => readonly ListenerConfig[]): (address: string, port: number) => boolean {
  let known: readonly ListenerConfig[] | undefined;
  let ports = new Set<number>();
  let addresses = new Set<string>();
  return (address, port) => {
    const now = listeners();
    if (now !== known) {
      known = now;
      ports = new Set(now.map((one) => Number(/:(\d+)$/.exec(one.address)?.[1])));
      addresses = new Set(Object.values(networkInterfaces()).flatMap((many) => (many ?? []).map((one) => one.address)));
    }
    return ports.has(port) && (addresses.has(address) || address.startsWith('127.') || address === '::1');
  };
}
