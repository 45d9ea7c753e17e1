/**
 * One spelling for what is written in many: the parts of an address as the directory looks them up, and login names.
 * Case does not count, a quoted local part equals its plain form, a domain its A-label form. Used by the directory, and by
 * auth, which must count a failure for a name however it is spelt. Pure, never throws.
 */
import { domainToASCII } from 'node:url';
import { parseMailbox } from './address.ts';

/** An address taken apart: `local` as given without needless quotes, `key` in lower case. */
export interface AddressParts {
  readonly local: string;
  readonly key: string;
  readonly domain: string;
}

/** @returns the parts, or undefined when there is no local part or no domain, or the local part is misquoted. */
export function takeApart(address: string): AddressParts | undefined {
  const at = address.lastIndexOf('@');
  if (at < 1 || at === address.length - 1) return undefined;
  const domain = asciiDomain(address.slice(at + 1));
  let local = address.slice(0, at);
  if (local.startsWith('"')) {
    const parsed = parseMailbox(`${local}@${domain}`);
    if (parsed === undefined) return undefined;
    local = parsed.local;
  }
  return { local, key: local.toLowerCase(), domain };
}

/** Lower case, A-labels; a name that cannot be written so stays as it is, and is nobody's. */
export function asciiDomain(domain: string): string {
  const lower = domain.toLowerCase();
  // Only what is not plain ASCII goes through IDNA, which would also rewrite address literals and underscores.
  return /^[\u0021-\u007e]*$/.test(lower) ? lower : domainToASCII(lower) || lower;
}

/** @param name what somebody logs in as: a name, or an address. */
export function loginKey(name: string): string {
  const parts = name.includes('@') ? takeApart(name) : undefined;
  return parts === undefined ? name.toLowerCase() : `${parts.key}@${parts.domain}`;
}
