/** The addresses of this machine's interfaces, for mail that is addressed to one of them. Asked at start and at reload. */
import { networkInterfaces } from 'node:os';

/** @returns them as text, IPv6 without a zone. */
export function ownAddresses(): string[] {
  return Object.values(networkInterfaces()).flatMap((entries = []) => entries.map(({ address }) => address.replace(/%.*$/, '')));
}
