/**
 * `posthorn tls check [FILE]`: connects to each listener of a running server, as clients do, and prints what it offers:
 * versions, ciphers, the certificate for each name. Exit code 1 when a listener cannot be reached, when something in it
 * is broken or weak, or when it is not what the files say.
 */
import { readFileSync } from 'node:fs';
import type { Config, ListenerConfig } from '@posthorn/config';
import { createAddressMatcher } from '@posthorn/core/wiring/addresses';
import type { Command } from 'commander';
import type { TlsMaterial } from '../ipc.ts';
import { readConfig } from '../supervisor/settings.ts';
import { readTls } from '../supervisor/tls-files.ts';
import { CliError } from './common.ts';
import { hiddenCertificates } from './hidden-certificates.ts';
import { probe, type TlsReport, type Wanted } from './tls-probe.ts';
import { refusesClear, type TlsTarget } from './tls-target.ts';

interface Options {
  readonly listener?: readonly string[];
  readonly ca?: string;
  readonly json?: boolean;
}

interface ListenerReport {
  readonly listener: string;
  readonly protocol: ListenerConfig['protocol'];
  readonly address: string;
  readonly how: TlsTarget['how'] | 'none';
  readonly clear: 'refused' | 'taken' | 'none';
  readonly offers: TlsReport | undefined;
  readonly problems: readonly string[];
  readonly warnings: readonly string[];
}

export function addTls(program: Command): void {
  program
    .command('tls')
    .description('TLS of the running server')
    .command('check')
    .description('connect to each listener and print what it offers; exit code 1 when something is wrong')
    .argument('[file]', 'configuration', './posthorn.yaml')
    .option('-l, --listener <name...>', 'only these listeners')
    .option('--ca <file>', 'PEM file with CAs to trust beside the usual ones')
    .option('--json', 'as JSON, one line for each listener')
    .action(async (file: string, options: Options) => {
      const config = readConfig(file);
      const tls = await readTls(config, () => undefined);
      const ca = options.ca === undefined ? undefined : readFileSync(options.ca, 'utf8');
      let wrong = 0;
      for (const listener of chosen(config, options.listener)) {
        const report = await examine(listener, config, tls, ca);
        process.stdout.write(options.json === true ? `${JSON.stringify(report)}\n` : textOf(report));
        if (report.problems.length > 0) wrong += 1;
      }
      if (wrong > 0) throw new CliError(`${wrong === 1 ? 'one listener has' : `${wrong} listeners have`} problems`);
    });
}

/** @throws CliError for a name that no listener has */
function chosen({ listeners }: Config, names: readonly string[] | undefined): readonly ListenerConfig[] {
  for (const name of names ?? []) {
    if (!listeners.some((one) => one.name === name)) throw new CliError(`there is no listener ${name}`);
  }
  return names === undefined ? listeners : listeners.filter(({ name }) => names.includes(name));
}

async function examine(
  listener: ListenerConfig,
  config: Config,
  tls: TlsMaterial,
  ca: string | undefined,
): Promise<ListenerReport> {
  const { name, protocol, address } = listener;
  const target = targetOf(listener);
  const none = { listener: name, protocol, address, how: 'none', clear: 'none', offers: undefined } as const;
  if (listener.tls === 'none') return { ...none, problems: [], warnings: ['has no TLS'] };
  if (target.port === 0) return { ...none, how: target.how, problems: ['port 0: which one it has is not known'], warnings: [] };
  try {
    const offers = await probe(target, wantedOf(listener, config, tls, ca));
    const clear = target.how === 'implicit' ? 'none' : (await refusesClear(target)) ? 'refused' : 'taken';
    const problems = [...offers.problems];
    if (listener.requireTls && clear === 'taken') problems.push('takes commands in clear, though requireTls is set');
    const warnings = [...offers.warnings, ...hiddenCertificates(tls.listeners[name]?.identities ?? tls.identities)];
    return { ...none, how: target.how, clear, offers, problems, warnings };
  } catch (error) {
    const cause = error instanceof Error ? error.message : String(error);
    return { ...none, how: target.how, problems: [`no TLS with it: ${cause}`], warnings: [] };
  }
}

function targetOf({ address, protocol, tls, proxyFrom }: ListenerConfig): TlsTarget {
  const colon = address.lastIndexOf(':');
  const host = address.slice(0, colon).replace(/^\[|\]$/g, '');
  const own: Readonly<Record<string, string>> = { '0.0.0.0': '127.0.0.1', '::': '::1' };
  const how =
    tls === 'implicit' ? 'implicit' : protocol === 'pop3' ? 'STLS' : protocol === 'lmtp' ? 'STARTTLS after LHLO' : 'STARTTLS';
  return { host: own[host] ?? host, port: Number(address.slice(colon + 1)), how, isProxy: createAddressMatcher(proxyFrom) };
}

/**
 * Every name of its certificates; a wildcard is asked for by a name that it stands for. Our own name, too, unless the
 * listener has certificates of its own: then it is there for other names.
 */
function wantedOf({ name }: ListenerConfig, config: Config, tls: TlsMaterial, ca: string | undefined): Wanted {
  const own = tls.listeners[name]?.identities;
  const identities = own ?? tls.identities;
  const names = identities.flatMap((one) => one.names).map((one) => one.replace(/^\*/, 'any-name'));
  return {
    names: [...new Set(own === undefined ? [config.hostname.toLowerCase(), ...names] : names)],
    inFiles: new Set(identities.map(({ fingerprint256 }) => fingerprint256)),
    ca,
    nowMs: Date.now(),
  };
}

const CLEAR = { refused: ', refuses commands in clear', taken: '', none: '' } as const;

function textOf({ listener, protocol, address, how, clear, offers, problems, warnings }: ListenerReport): string {
  const lines = [`${listener}: ${protocol} on ${address}, ${how === 'none' ? 'no TLS' : how}${CLEAR[clear]}`];
  if (offers !== undefined) {
    lines.push(`  versions      ${offers.versions.join(', ')}`);
    for (const version of offers.versions) {
      const names = offers.ciphers.filter((one) => one.version === version).map((one) => one.name);
      lines.push(`  ${version.padEnd(13)} ${names.join(' ')}`);
    }
    lines.push(`  key agreement ${offers.group}`);
    for (const one of offers.certificates) {
      lines.push(`  certificate   ${one.askedFor === '' ? 'without a name' : `for ${one.askedFor}`}: ${one.subject}, ${one.key}`);
      lines.push(
        `                until ${one.endsAt.slice(0, 10)}, by ${one.issuer}, ${one.trust}, chain of ${one.chain.length}`,
      );
    }
  }
  lines.push(...problems.map((text) => `  PROBLEM: ${text}`), ...warnings.map((text) => `  warning: ${text}`), '');
  return `${lines.join('\n')}\n`;
}
