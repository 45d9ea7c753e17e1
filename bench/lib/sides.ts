/**
 * Posthorn as a side of a comparison, configured for what is measured, and the names of the sides in tables.
 * Its log is at `info`, as JSON lines into a file on the same disk: writing it is part of what is counted.
 */
import type { DnsServer } from '../../test/lib/dns-server.ts';
import { type Posthorn, startPosthorn } from '../../test/lib/server.ts';
import type { CpuGroup } from './cpu.ts';
import { FILTERS } from './filters.ts';

export type SmtpSide = 'posthorn' | 'posthorn+plugins' | 'postfix';

/** Relay configuration: the client is loopback and may send anywhere; a second server is where everything goes. */
export interface RelayOptions {
  /** Next hop on loopback; `discard`: delivery throws it away; undefined: everything stays in the queue. */
  readonly relayPort?: number | 'discard';
  /** Connections to it at the most. */
  readonly deliveries?: number;
  /** Runs sender-auth and bayes, with this DNS server. */
  readonly filterDns?: DnsServer;
}

/** Starts Posthorn as a relay. */
export function startRelay(options: RelayOptions, wrap: CpuGroup['wrap']): Promise<Posthorn> {
  const held = options.relayPort === undefined;
  const deliveries = options.deliveries ?? 50;
  const config = {
    relay: {
      from: ['127.0.0.0/8'],
      tls: 'never',
      via: options.relayPort === 'discard' ? 'discard:' : `smtp://127.0.0.1:${options.relayPort ?? 9}`,
    },
    ...(options.filterDns === undefined ? {} : { plugins: FILTERS, dns: { servers: [options.filterDns.address] } }),
    throughput: {
      maxConnectionsPerClient: 10_000,
      deliveryConcurrency: held ? 0 : 500,
      deliveryConcurrencyPerDestination: deliveries,
    },
  };
  return startPosthorn({ config, wrap, logFile: 'log.jsonl' });
}
