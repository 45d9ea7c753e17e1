/** Asks the plugin about one message and takes the answer apart. For tests only. */
import type { Dns, HookResult } from '@posthorn/sdk';
import { asLargeMessage, startPlugin, testDns, testMessage } from '@posthorn/sdk/testing';
import type { Options } from './options.ts';
import { plugin } from './plugin.ts';

/** `name type` -> records, or an error code. */
export type Zone = ReadonlyMap<string, readonly unknown[] | 'ETIMEOUT' | 'ESERVFAIL'>;

/** A zone of TXT records. */
export function txtZone(records: Readonly<Record<string, string>>): Zone {
  return new Map(Object.entries(records).map(([name, text]) => [`${name} TXT`, [[text]]]));
}

/** DNS with these names in it and no others. */
export function zoneDns(zone: Zone): Dns {
  return testDns(Object.fromEntries(zone));
}

export interface Mail {
  readonly content: string | Uint8Array;
  readonly clientAddress?: string;
  readonly helo?: string;
  readonly reversePath?: string;
  readonly user?: string;
  /** As after a spill to disk: no `whole`, only chunks of a reused buffer. */
  readonly inFile?: boolean;
}

export const HOSTNAME = 'mx.example.net';

export interface Answered {
  readonly results: readonly HookResult[];
  /** Value of the header that is added, unfolded; empty when none is. */
  readonly header: string;
  /** `matching` of each header that is removed; undefined for all. */
  readonly removed: readonly (string | undefined)[];
  /** Evidence by name. */
  readonly evidence: ReadonlyMap<string, number>;
  readonly logged: readonly string[];
}

type GivenOptions = Partial<Omit<Options, 'weights'>> & { readonly weights?: Partial<Options['weights']> };

/** Asks the plugin, opened as the host does it. */
export async function ask(mail: Mail, zone: Zone, options: GivenOptions = {}, dns: Dns = zoneDns(zone)): Promise<Answered> {
  const { content, clientAddress, helo = 'client.example', reversePath = '', user } = mail;
  const started = await startPlugin(plugin, { options, dns, hostname: HOSTNAME, dataDirectory: '/nonexistent' });
  const session = {
    helo,
    ...(clientAddress === undefined ? {} : { clientAddress }),
    ...(user === undefined ? {} : { user }),
  };
  const message = testMessage(typeof content === 'string' ? Buffer.from(content, 'latin1') : content, {
    session,
    envelope: { reversePath },
  });
  const results = await started.run('message', mail.inFile === true ? asLargeMessage(message, 1000) : message);
  const edits = results.flatMap((one) => (one.kind === 'edit' ? one.edits : []));
  const added = edits.find((one) => one.edit === 'add-header');
  return {
    results,
    header: added === undefined ? '' : added.value.replaceAll(/\r\n[ \t]+/g, ' '),
    removed: edits.flatMap((one) => (one.edit === 'remove-header' ? [one.matching] : [])),
    evidence: new Map(
      results.flatMap((one) => (one.kind === 'evidence' ? one.evidence.map((e) => [e.name, e.weight] as const) : [])),
    ),
    logged: started.lines.map(({ event }) => event),
  };
}

/** The result of a method in an Authentication-Results value: `pass` of `spf=pass …`. */
export function resultOf(header: string, method: string): string | undefined {
  return new RegExp(`(?:^|[; ])${method}=([a-z]+)`).exec(header)?.[1];
}
