/** Whether an address and port lead back to this server, so that a route to ourselves is told as a loop. */
import { networkInterfaces } from 'node:os';
import type { ListenerConfig } from '@posthorn/config';

/** @returns the question for delivery: our own addresses on a port we listen on. */
export function isSelf(listeners: readonly ListenerConfig[]): (address: string, port: number) => boolean {
  const ports = new Set(listeners.map((one) => Number(/:(\d+)$/.exec(one.address)?.[1])));
  const addresses = new Set(Object.values(networkInterfaces()).flatMap((many) => (many ?? []).map((one) => one.address)));
  return (address, port) => ports.has(port) && (addresses.has(address) || address.startsWith('127.') || address === '::1');
}
