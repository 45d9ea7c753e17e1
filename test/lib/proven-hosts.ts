/** y.test for tests of TLS between servers: its mail hosts, the CA that vouches for them, and what its policy says. */
import type { StsPolicy } from '@posthorn/core/delivery/sts';
import { afterAll, beforeAll } from 'vitest';
import type { Zones } from './dns-server.ts';
import { type TrustedCa, trustNewCa } from './trusted-ca.ts';

/** mx.y.test is on 127.0.0.1, mx2.y.test on 127.0.0.2; alone.test is its own mail host. */
export const PROVEN_ZONES: Zones = {
  'y.test': {
    mx: [
      [10, 'mx.y.test'],
      [20, 'mx2.y.test'],
    ],
  },
  'mx.y.test': { a: ['127.0.0.1'] },
  'mx2.y.test': { a: ['127.0.0.2'] },
  'alone.test': { a: ['127.0.0.1'] },
};

export const policyOf = (mode: StsPolicy['mode'], ...names: string[]): StsPolicy => ({
  mode,
  names: (host) => names.includes(host),
});

export interface ProvenHosts {
  readonly ca: TrustedCa;
  /** Of both hosts. */
  readonly certificate: { readonly cert: string; readonly key: string };
}

/** For a whole test file; called at its top. */
export function provenHosts(): ProvenHosts {
  let hosts: ProvenHosts;
  beforeAll(async () => {
    const ca = await trustNewCa();
    hosts = { ca, certificate: await ca.serverFor('mx.y.test', 'mx2.y.test') };
  });
  afterAll(() => hosts.ca.forget());
  return {
    get ca() {
      return hosts.ca;
    },
    get certificate() {
      return hosts.certificate;
    },
  };
}
