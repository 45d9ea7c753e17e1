/**
 * Whether a connection to a next hop is encrypted, and whom it must prove to be. Asked by remote/connection.
 * - `never`: STARTTLS is not used.
 * - `opportunistic` (RFC 7435): STARTTLS where offered, any certificate; in plain when it is not offered or breaks.
 * - `required`: no TLS, no mail. The names of MX hosts come from plain DNS, so a certificate would prove nothing there:
 *   any is taken. A server named in the configuration has to prove that name, and so has a host that the MTA-STS policy of
 *   the domain names (RFC 8461 §4.2).
 * - `implicit` (`smtps://`): TLS from the first byte, and the name has to be proven.
 * For a message that needs it (REQUIRETLS, RFC 8689 §4.2.1) TLS is required everywhere and the name has to be proven.
 * A secret is only sent to a peer that has proven its name, or to loopback. Certificates are checked against the
 * authorities Node knows, and those of NODE_EXTRA_CA_CERTS.
 */
import type { ConnectionOptions } from 'node:tls';
import { isLoopback } from '../../wire/address-literal.ts';
import type { Credentials, RemoteHop } from '../route.ts';
import type { Target } from './mx.ts';

export interface TlsPolicy {
  readonly mode: 'never' | 'opportunistic' | 'required' | 'implicit';
  /** The certificate must be good for the host's name. */
  readonly verify: boolean;
  /** What lacks TLS or proof, or does not offer REQUIRETLS, is no place for this mail: it bounces. */
  readonly demands: 'proof' | 'promise' | undefined;
  readonly credentials: Credentials | undefined;
  /** The secret may be sent without TLS: to this machine itself. */
  readonly plainSecret: boolean;
}

/**
 * The policy for one address of a hop.
 * @param enforced the domain wants TLS and proof (MTA-STS), and its policy names this host
 */
export function tlsPolicyFor(hop: RemoteHop, target: Target, enforced = false): TlsPolicy {
  const usual = usualPolicy(hop, target);
  const { trust } = hop;
  const demands = trust === 'requiretls' ? 'promise' : trust === 'protected' ? 'proof' : undefined;
  if (demands === undefined && !enforced) return usual;
  return { ...usual, mode: usual.mode === 'implicit' ? 'implicit' : 'required', verify: true, demands };
}

function usualPolicy(hop: RemoteHop, target: Target): TlsPolicy {
  const demands = undefined;
  if (hop.to !== 'host') return { mode: hop.tls, verify: false, demands, credentials: undefined, plainSecret: false };
  const { credentials } = hop;
  const plainSecret = target.socketPath !== undefined || isLoopback(target.address);
  // Opportunistic TLS could be stripped on the way, and the secret with it.
  const mode = credentials !== undefined && hop.tls === 'opportunistic' && !plainSecret ? 'required' : hop.tls;
  const verify = mode === 'implicit' || mode === 'required';
  return { mode, verify, demands, credentials, plainSecret };
}

/** Options for `tls.connect` over a connected socket. */
export function tlsOptions(policy: TlsPolicy, target: Target): ConnectionOptions {
  const named = !/^[\d.]+$|:/.test(target.host);
  return {
    host: target.host,
    ...(named ? { servername: target.host } : {}),
    rejectUnauthorized: policy.verify,
    minVersion: policy.verify ? 'TLSv1.2' : 'TLSv1',
  };
}
