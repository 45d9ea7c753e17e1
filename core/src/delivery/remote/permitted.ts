/**
 * Which of the hosts that were found a message may go to, by the MTA-STS policy of the domain (RFC 8461 §4.1, §5) and by
 * what the message itself asks (REQUIRETLS, RFC 8689 §4.2.1). Asked by remote/opening. Pure.
 * Names of MX hosts come from plain DNS, so only a policy can say that they are the domain's. A host that the configuration
 * names, an address literal, and a domain that is its own mail host need no such word.
 */
import type { RemoteHop } from '../route.ts';
import type { StsPolicy } from '../sts.ts';
import type { TargetsResult } from './mx.ts';

export function isPolicy(found: StsPolicy | 'none' | 'unknown'): found is StsPolicy {
  return typeof found === 'object';
}

/**
 * @param policy of the hop's domain, where there is one
 * @returns the targets that are left, or why there are none
 */
export function permitted(hop: RemoteHop, found: TargetsResult, policy: StsPolicy | 'none' | 'unknown'): TargetsResult {
  if (!found.ok || hop.to !== 'mx') return found;
  const needsProof = hop.trust === 'requiretls' || hop.trust === 'protected';
  if (!isPolicy(policy)) {
    if (!needsProof || found.implicit === true) return found;
    if (policy === 'unknown') {
      return { ok: false, permanent: false, reply: `451 4.7.0 the MTA-STS policy of ${hop.domain} cannot be had` };
    }
    const reply = `550 5.7.10 message needs proof of the mail hosts of ${hop.domain}, which publishes no MTA-STS policy`;
    return { ok: false, permanent: true, reply };
  }
  if (!needsProof && policy.mode === 'testing') return found;
  const targets = found.targets.filter(({ host }) => policy.names(host));
  if (targets.length > 0) return { ...found, targets };
  const problem = `none of the mail hosts of ${hop.domain} is named by its MTA-STS policy`;
  return { ok: false, permanent: needsProof, reply: needsProof ? `550 5.7.10 ${problem}` : `451 4.7.0 ${problem}` };
}
