/**
 * What a domain publishes about TLS to its mail hosts (MTA-STS, RFC 8461), as delivery asks for it. Plugged in by wiring;
 * fetching, checking and keeping policies is the implementation's.
 */

export interface StsPolicy {
  /** `testing`: what does not fit is only told of. */
  readonly mode: 'enforce' | 'testing';
  /** Whether the policy names this host (RFC 8461 §4.1). */
  names(host: string): boolean;
}

export interface StsPolicies {
  /**
   * The policy in force for a domain; `none` when it has none, `unknown` when that could not be found out and none is
   * remembered. Never rejects, and answers within a bounded time.
   */
  find(domain: string): Promise<StsPolicy | 'none' | 'unknown'>;
}
