/**
 * What the checks mean for a message: evidence for the score, and a rejection where the domain asks for one and the
 * operator honours that. Pure.
 */
import type { Evidence, HookResult } from '@posthorn/sdk';
import type { AuthenticateResult } from 'mailauth';
import type { EvidenceName, Options } from './options.ts';

/** @returns the results for the pipeline: at most one of evidence, and a rejection. */
export function judge(result: AuthenticateResult, options: Options): HookResult[] {
  const evidence: Evidence[] = [];
  const give = (name: EvidenceName, reason: string): void => {
    const weight = options.weights[name];
    if (weight !== 0) evidence.push({ name, weight, reason });
  };
  const aligned = result.dmarc !== false && result.dmarc.status.result === 'pass';
  judgeSpf(result, aligned, give);
  judgeDkim(result, give);
  const rejects = judgeDmarc(result, options, give);
  const results: HookResult[] = evidence.length > 0 ? [{ kind: 'evidence', evidence }] : [];
  if (rejects !== undefined) results.push(rejects);
  return results;
}

type Give = (name: EvidenceName, reason: string) => void;

function judgeSpf({ spf }: AuthenticateResult, aligned: boolean, give: Give): void {
  if (spf === false) return;
  const domain = name(spf.domain);
  switch (spf.status.result) {
    case 'pass':
      return give('SPF_PASS', `${domain} allows this client`);
    case 'permerror':
      return give('SPF_PERMERROR', `broken record of ${domain}`);
    // Forwarding breaks SPF and not DKIM: where DMARC passed on a signature, the failure says nothing.
    case 'fail':
      return aligned ? undefined : give('SPF_FAIL', `${domain} forbids this client`);
    case 'softfail':
      return aligned ? undefined : give('SPF_SOFTFAIL', `${domain} doubts this client`);
  }
}

function judgeDkim({ dkim }: AuthenticateResult, give: Give): void {
  const passed = dkim.results.find((one) => one.status.result === 'pass');
  if (passed !== undefined) return give('DKIM_PASS', `signed by ${name(passed.signingDomain)}`);
  const broken = dkim.results.find((one) => ['fail', 'permerror', 'neutral', 'policy'].includes(one.status.result));
  if (broken !== undefined) give('DKIM_FAIL', `broken signature of ${name(broken.signingDomain)}`);
}

function judgeDmarc(result: AuthenticateResult, options: Options, give: Give): HookResult | undefined {
  const { dmarc } = result;
  if (dmarc === false) {
    if (result.dmarcSkipReason !== undefined) give('FROM_INVALID', result.dmarcSkipReason.replaceAll('-', ' '));
    return undefined;
  }
  const domain = name(dmarc.status.header?.from);
  if (dmarc.status.result === 'pass') {
    give('DMARC_PASS', `aligned with ${domain}`);
    return undefined;
  }
  if (dmarc.status.result !== 'fail' || sealedByTrusted(result, options)) return undefined;
  if (isUnsettled(result)) {
    if (dmarc.policy !== 'reject' || !options.dmarcReject) return undefined;
    return { kind: 'defer', code: 451, enhanced: '4.7.1', text: `DNS does not tell now whether ${domain} sent this` };
  }
  switch (dmarc.policy) {
    case 'reject':
      if (options.dmarcReject) {
        return { kind: 'reject', code: 550, enhanced: '5.7.1', text: `Rejected by the DMARC policy of ${domain}` };
      }
      give('DMARC_REJECT', `${domain} has p=reject`);
      return undefined;
    case 'quarantine':
      give('DMARC_QUARANTINE', `${domain} has p=quarantine`);
      return undefined;
    default:
      give('DMARC_FAIL', `not aligned with ${domain}`);
      return undefined;
  }
}

/** Might it have passed, had DNS answered? Then a failure is nothing to hold against the message for good. */
function isUnsettled({ spf, dkim }: AuthenticateResult): boolean {
  return (spf !== false && spf.status.result === 'temperror') || dkim.results.some((one) => one.status.result === 'temperror');
}

/** A forwarder the operator trusts says, under a chain that verifies, what it saw before it changed the message (RFC 8617). */
function sealedByTrusted({ arc }: AuthenticateResult, options: Options): boolean {
  if (arc === false || arc.status.result !== 'pass' || options.trustedSealers.length === 0) return false;
  const last = arc.chain?.at(-1)?.['arc-seal'];
  const sealer = last?.parsed?.['d']?.value;
  return typeof sealer === 'string' && options.trustedSealers.includes(sealer.toLowerCase());
}

/** A domain as replies, logs and headers may show it. */
function name(domain: string | undefined): string {
  const shown = (domain ?? '').replaceAll(/[^A-Za-z0-9._-]+/g, '?').slice(0, 100);
  return shown === '' ? 'the sender' : shown;
}
