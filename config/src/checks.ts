/**
 * What no single value can know: combinations of keys that cannot work, or would be dangerous. Called by load.ts once
 * every value is right by itself. Pure: each check reports, none throws.
 */
import { domainToASCII } from 'node:url';
import type { Path } from './problem.ts';
import type { Config } from './schema.ts';
import type { Spot } from './yaml-source.ts';

export type Report = (path: Path, spot: Spot, message: string, hint?: string) => void;

/** Reports every impossible combination. */
export function checkCombinations(config: Config, report: Report): void {
  checkListeners(config, report);
  checkSubmission(config, report);
  checkTls(config, report);
  checkMechanisms(config, report);
  checkOauth(config, report);
  checkScoring(config, report);
  checkDomains(config, report);
  checkRelay(config, report);
  checkPlugins(config, report);
  const { spillBytes, messageMemoryBytes } = config.throughput;
  if (spillBytes > messageMemoryBytes) {
    report(['throughput', 'spillBytes'], 'value', 'is larger than throughput.messageMemoryBytes, so no message could be taken');
  }
}

/** Host and port of `[::1]:25`, with `localhost` as its usual address. */
function splitAddress(address: string): { readonly host: string; readonly port: number } {
  const colon = address.lastIndexOf(':');
  const host = address
    .slice(0, colon)
    .replace(/^\[(.*)\]$/, '$1')
    .toLowerCase();
  return { host: host === 'localhost' ? '127.0.0.1' : host, port: Number(address.slice(colon + 1)) };
}

/** Listeners that are of no use to who cannot log in. */
const NEEDS_LOGIN: ReadonlySet<string> = new Set(['submission', 'pop3']);

function checkListeners({ listeners }: Config, report: Report): void {
  const names = new Map<string, number>();
  const addresses = new Map<string, number>();
  for (const [index, listener] of listeners.entries()) {
    const sameName = names.get(listener.name);
    if (sameName !== undefined) report(['listeners', index, 'name'], 'value', `listeners[${sameName}] has this name already`);
    else names.set(listener.name, index);
    const { host, port } = splitAddress(listener.address);
    const sameAddress = port === 0 ? undefined : addresses.get(`${host} ${port}`);
    if (sameAddress !== undefined)
      report(['listeners', index, 'address'], 'value', `listeners[${sameAddress}] has this address already`);
    else addresses.set(`${host} ${port}`, index);
    for (const key of ['proxyFrom', 'xclientFrom'] as const) {
      for (const [at, network] of listener[key].entries()) {
        if (/\/0+$/.test(network)) report(['listeners', index, key, at], 'value', 'would let the whole world say who it is');
      }
    }
    if (listener.protocol === 'lmtp' && port === 25) {
      report(['listeners', index, 'address'], 'value', 'LMTP is not to be spoken on port 25 (RFC 2033)');
    }
    if (NEEDS_LOGIN.has(listener.protocol) && listener.tls === 'none' && listener.plaintextLogin === 'never') {
      report(
        ['listeners', index, 'tls'],
        'value',
        'nobody could log in here: no TLS, and no password without it',
        'see plaintextLogin',
      );
    }
  }
}

/** Keys of one protocol that would be taken for a promise on another. */
function checkSubmission({ listeners }: Config, report: Report): void {
  for (const [index, { protocol, senderMustMatch, hideClient, vrfy }] of listeners.entries()) {
    const wrong = (key: string): void =>
      report(['listeners', index, key], 'value', `has no effect on a listener with \`protocol: ${protocol}\``);
    if (protocol !== 'submission' && senderMustMatch !== 'login') wrong('senderMustMatch');
    if (protocol !== 'submission' && hideClient) wrong('hideClient');
    if (protocol !== 'submission' && protocol !== 'smtp' && vrfy !== 'off') wrong('vrfy');
  }
}

/** Mechanisms that nobody can use as things are, all of them. */
function checkMechanisms({ auth: { mechanisms, oauth }, listeners }: Config, report: Report): void {
  const asks = listeners.some(({ clientCertificates }) => clientCertificates !== 'off');
  const isOfUse = (name: string) =>
    name.endsWith('BEARER') || name === 'XOAUTH2' ? oauth !== null : name !== 'EXTERNAL' || asks;
  if (mechanisms !== null && !mechanisms.some(isOfUse)) {
    report(
      ['auth', 'mechanisms'],
      'value',
      'nobody could log in by these alone',
      'OAUTHBEARER and XOAUTH2 need auth.oauth, EXTERNAL a listener with clientCertificates',
    );
  }
}

function checkOauth({ auth: { oauth } }: Config, report: Report): void {
  if (oauth === null) return;
  const path = ['auth', 'oauth'];
  if ((oauth.jwks === undefined) === (oauth.introspection === undefined))
    report(path, 'key', 'needs either jwks or introspection, to know which tokens are good');
  if (oauth.jwks !== undefined && (oauth.issuer === undefined || oauth.audience === undefined))
    report(path, 'key', 'needs issuer and audience with jwks: else a token for anybody would be a login here');
  if ((oauth.clientId === undefined) !== (oauth.clientSecretFile === undefined))
    report(path, 'key', 'needs clientId and clientSecretFile together');
}

function checkTls({ tls, listeners }: Config, report: Report): void {
  if (tls.certificate !== undefined && tls.key === undefined) report(['tls', 'certificate'], 'key', 'has no tls.key beside it');
  if (tls.key !== undefined && tls.certificate === undefined) report(['tls', 'key'], 'key', 'has no tls.certificate beside it');
  for (const [index, listener] of listeners.entries()) {
    const at = (key: string): Path => ['listeners', index, key];
    if (listener.clientCertificates !== 'off' && listener.clientCa === undefined) {
      report(at('clientCertificates'), 'value', 'needs clientCa: without it no certificate would count');
    }
    if (listener.clientCrl !== undefined && listener.clientCa === undefined)
      report(at('clientCrl'), 'value', 'needs clientCa: without it no certificate would count');
    if (listener.tls !== 'none') continue;
    if (listener.requireTls) report(at('requireTls'), 'value', 'nothing could be said here: this listener has `tls: none`');
    if (listener.clientCertificates !== 'off') report(at('clientCertificates'), 'value', 'this listener has `tls: none`');
  }
}

function checkScoring({ scoring }: Config, report: Report): void {
  const { tag, quarantine, reject } = scoring;
  if (quarantine !== null && reject !== null && quarantine > reject) {
    report(['scoring', 'quarantine'], 'value', `is above scoring.reject (${reject}), so nothing would be quarantined`);
  }
  if (quarantine !== null && tag > quarantine) {
    report(['scoring', 'tag'], 'value', `is above scoring.quarantine (${quarantine}), so nothing would be tagged`);
  } else if (reject !== null && tag > reject) {
    report(['scoring', 'tag'], 'value', `is above scoring.reject (${reject}), so nothing would be tagged`);
  }
}

function checkDomains(config: Config, report: Report): void {
  const seen = new Map<string, string>();
  for (const [name, domain] of Object.entries(config.domains)) {
    const ascii = domainToASCII(name).toLowerCase();
    if (ascii === '') report(['domains', name], 'key', 'is not a domain name');
    const same = seen.get(ascii);
    if (same !== undefined) report(['domains', name], 'key', `is the same domain as ${same}`);
    else seen.set(ascii, name);
    checkAliases(name, ascii, domain.aliases, report);
    if (domain.deliver === 'maildir') continue;
    if (domain.catchAll !== null) {
      report(
        ['domains', name, 'catchAll'],
        'value',
        'has no effect, since another server knows the users of this domain',
        'see deliver',
      );
    }
    reportOwnListener(config, domain.deliver, ['domains', name, 'deliver'], report);
  }
}

/** An alias that leads nowhere but to itself loses mail; one that also keeps a copy (`bob: [bob, x@y]`) is common and fine. */
function checkAliases(name: string, domain: string, aliases: Config['domains'][string]['aliases'], report: Report): void {
  const next = new Map<string, string[]>();
  for (const [local, targets] of Object.entries(aliases)) {
    const key = local.toLowerCase();
    if (local.includes('@') || /[\s<>]/.test(local) || local === '') {
      report(['domains', name, 'aliases', local], 'key', 'expected a local part, without @ and domain');
    }
    if (next.has(key)) report(['domains', name, 'aliases', local], 'key', 'is there twice, since case does not count');
    next.set(
      key,
      [targets].flat().map((target) => localPart(target.toLowerCase(), domain) ?? ''),
    );
  }
  for (const local of Object.keys(aliases)) {
    const from = local.toLowerCase();
    if (leadsOnlyBack(from, from, next, new Set())) {
      report(['domains', name, 'aliases', local], 'value', 'leads back to itself and to nobody else');
    }
  }
}

/** The local part when the target is in this domain, else undefined. */
function localPart(target: string, domain: string): string | undefined {
  const at = target.lastIndexOf('@');
  if (at < 0) return target;
  return domainToASCII(target.slice(at + 1)) === domain ? target.slice(0, at) : undefined;
}

function leadsOnlyBack(from: string, start: string, next: ReadonlyMap<string, readonly string[]>, seen: Set<string>): boolean {
  if (seen.has(from)) return true;
  seen.add(from);
  const targets = next.get(from);
  return targets !== undefined && targets.every((target) => target === start || leadsOnlyBack(target, start, next, seen));
}

function checkRelay(config: Config, report: Report): void {
  const { from, via, routes } = config.relay;
  for (const [index, network] of from.entries()) {
    if (/\/0+$/.test(network)) {
      report(['relay', 'from', index], 'value', 'would let the whole world send mail through this server (an open relay)');
    }
  }
  if (via !== null) reportOwnListener(config, via, ['relay', 'via'], report);
  const seen = new Map<string, number>();
  for (const [index, route] of routes.entries()) {
    reportOwnListener(config, route.via, ['relay', 'routes', index, 'via'], report);
    const earlier = seen.get(route.to.toLowerCase()) ?? seen.get('*');
    if (earlier !== undefined)
      report(['relay', 'routes', index, 'to'], 'value', `is never reached, since relay.routes[${earlier}] matches first`);
    else seen.set(route.to.toLowerCase(), index);
  }
}

const ANY_HOSTS: readonly string[] = ['0.0.0.0', '::'];
const LOOPBACK_HOSTS: readonly string[] = ['127.0.0.1', '::1', ...ANY_HOSTS];

/** Mail sent to our own listener would come in again, and again. */
function reportOwnListener(config: Config, via: string, path: Path, report: Report): void {
  const url = URL.parse(via);
  if (url === null || url.hostname === '') return;
  const target = splitAddress(`${url.hostname}:${url.port === '' ? (url.protocol === 'smtps:' ? 465 : 25) : url.port}`);
  const own = config.listeners.findIndex(({ protocol, address }) => {
    const { host, port } = splitAddress(address);
    if (protocol === 'pop3' || port !== target.port) return false;
    if (host === target.host) return true;
    const isUs = LOOPBACK_HOSTS.includes(target.host) || target.host === config.hostname.toLowerCase();
    return isUs && (ANY_HOSTS.includes(host) || ANY_HOSTS.includes(target.host));
  });
  if (own >= 0) report(path, 'value', `leads back to this server (listeners[${own}]), so mail would go round in a loop`);
}

function checkPlugins({ plugins }: Config, report: Report): void {
  const seen = new Map<string, number>();
  for (const [index, entry] of plugins.entries()) {
    const name = typeof entry === 'string' ? entry : (Object.keys(entry)[0] ?? '');
    const earlier = seen.get(name);
    if (earlier !== undefined) report(['plugins', index], 'value', `is there already as plugins[${earlier}]`);
    else seen.set(name, index);
  }
}
