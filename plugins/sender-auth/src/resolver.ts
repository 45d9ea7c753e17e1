/**
 * The context's DNS in the shape mailauth asks for: names as Node's `resolve`, failures as errors with Node's codes, each
 * its own object because mailauth writes on them. All questions of one message share one time budget; past it they fail
 * as unanswered, so that a slow zone makes a `temperror` and never a missed deadline.
 */
import { DnsError, type Clock, type Dns } from '@posthorn/sdk';
import type { DNSResolver } from 'mailauth';

/** Codes mailauth knows as "there is no such thing". */
const ABSENT = new Set(['ENOTFOUND', 'ENODATA', 'EBADNAME']);

/** @returns a resolver for the checks of one message. */
export function resolverFor(dns: Dns, clock: Clock, budgetMs: number): DNSResolver {
  const untilMs = clock.monotonic() + budgetMs;
  return async (name, type) => {
    const leftMs = untilMs - clock.monotonic();
    if (leftMs <= 0) throw unanswered(name, type);
    let cancel = (): void => undefined;
    const late = new Promise<never>((_, reject) => {
      cancel = clock.after(leftMs, () => reject(unanswered(name, type)));
    });
    try {
      return (await Promise.race([dns.resolve(name, type), late])) as string[];
    } catch (error) {
      throw toNodeError(error, name, type);
    } finally {
      cancel();
    }
  };
}

function unanswered(name: string, type: string): Error {
  return coded('ETIMEOUT', `no answer in time: ${type} ${name}`);
}

function toNodeError(error: unknown, name: string, type: string): Error {
  if (!(error instanceof DnsError)) {
    const code = error instanceof Error && 'code' in error && error.code === 'ETIMEOUT' ? 'ETIMEOUT' : 'ESERVFAIL';
    return coded(code, error instanceof Error ? error.message : `failed: ${type} ${name}`);
  }
  if (error.kind === 'notfound') return coded(ABSENT.has(error.code) ? error.code : 'ENOTFOUND', error.message);
  return coded(ABSENT.has(error.code) ? 'ESERVFAIL' : error.code, error.message);
}

function coded(code: string, message: string): Error {
  return Object.assign(new Error(message), { code });
}
