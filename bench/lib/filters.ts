/**
 * What the content filters need to have something to do, in a bench that has them on: a DNS server with the records of the
 * domain that the load comes from, and a model of mail that was learned. Without these both would pass at once.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type DnsServer, startDnsServer } from '../../test/lib/dns-server.ts';
import type { Posthorn } from '../../test/lib/server.ts';
import { SOURCE_DOMAIN } from '../load/smtp-source.ts';

const LEARNED = 200;
const WORDS = 120;

/** Records that let the load's mail pass SPF and DMARC, as most wanted mail does. */
export function startFilterDns(): Promise<DnsServer> {
  return startDnsServer({
    [SOURCE_DOMAIN]: { txt: ['v=spf1 ip4:127.0.0.0/8 -all'] },
    [`_dmarc.${SOURCE_DOMAIN}`]: { txt: ['v=DMARC1; p=none'] },
  });
}

/** Configuration of the two filters; loopback is no exception here. */
export const FILTERS = [{ senderAuth: { trusted: [] } }, { bayes: {} }];

/** Teaches `bayes` 200 messages of each kind. @throws Error when it did not learn them. */
export async function teachBayes(server: Posthorn): Promise<void> {
  for (const label of ['spam', 'ham']) {
    const folder = join(server.folder, `learn-${label}`);
    mkdirSync(folder);
    for (let number = 0; number < LEARNED; number++) writeFileSync(join(folder, `${number}.eml`), messageOf(label, number));
    const { code, stdout, stderr } = await server.command('train', label, folder, '--config', server.configFile);
    if (code !== 0 || !stdout.includes(`${LEARNED} learned`)) throw new Error(`posthorn train ${label}: ${stdout}${stderr}`);
  }
}

/** Words of which a third is common to both kinds and the rest their own. */
function messageOf(label: string, number: number): string {
  const words = Array.from({ length: WORDS }, (_, at) =>
    at % 3 === 0 ? `word${(number * 7 + at) % 400}` : `${label}${(number * 13 + at) % 900}`,
  );
  return `From: ${label}@${SOURCE_DOMAIN}\r\nSubject: ${label} ${number}\r\n\r\n${words.join(' ')}\r\n`;
}
