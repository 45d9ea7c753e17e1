/**
 * `sender-auth`: is the sender who it says it is? SPF, DKIM, ARC and DMARC as evidence, and as one Authentication-Results
 * header with our name on it; headers of others that use our name are taken out, from mail of trusted clients too. Runs on
 * a waiting thread, because most of its time is DNS. When it dies or is late, mail is deferred: passing it would let a
 * forged header through as ours.
 */
import { BlockList, isIPv6 } from 'node:net';
import { definePlugin, type Edit, type HookResult } from '@posthorn/sdk';
import { check } from './check.ts';
import { viewHeader } from './header.ts';
import { judge } from './judge.ts';
import { optionsSchema } from './options.ts';
import { resolverFor } from './resolver.ts';
import { resultsHeader } from './results.ts';

const HEADER = 'Authentication-Results';
/** With more forged ones than this, all Authentication-Results go. */
const MAX_REMOVED = 20;

export const plugin = definePlugin({
  name: 'sender-auth',
  version: '0.1.0',
  options: optionsSchema,
  run: 'wait',
  onFailure: 'defer',
  deadlineMs: 20_000,
  open: ({ options }) => ({ trusted: toBlockList(options.trusted) }),
  hooks: {
    async message({ session, envelope, bytes }, { options, state, dns, clock, log, hostname }) {
      const header = viewHeader(bytes.header, hostname);
      const edits = removals(header.forgedResults);
      if (session.user !== undefined || isIn(state.trusted, session.clientAddress)) return editing(edits);
      const resolver = resolverFor(dns, clock, options.dnsBudgetMs);
      const subject = { session, reversePath: envelope.reversePath, bytes, header };
      const checked = await check(subject, hostname, options, resolver, log);
      edits.push({ edit: 'add-header', name: HEADER, value: resultsHeader(hostname, checked) });
      return [...editing(edits), ...(checked === undefined ? [] : judge(checked.result, options))];
    },
  },
});

function editing(edits: readonly Edit[]): HookResult[] {
  return edits.length === 0 ? [] : [{ kind: 'edit', edits }];
}

/** `matching` is a part of the value: the whole value hits the forged field itself, and others only if they contain it. */
function removals(forged: readonly string[]): Edit[] {
  if (forged.length > MAX_REMOVED) return [{ edit: 'remove-header', name: HEADER }];
  return forged.map((matching) => ({ edit: 'remove-header', name: HEADER, matching }));
}

function isIn(list: BlockList, clientAddress: string): boolean {
  const address = clientAddress.replace(/^::ffff:(?=\d+\.)/i, '');
  return list.check(address, isIPv6(address) ? 'ipv6' : 'ipv4');
}

function toBlockList(networks: readonly string[]): BlockList {
  const list = new BlockList();
  for (const network of networks) {
    const [address = '', prefix] = network.split('/');
    const family = isIPv6(address) ? 'ipv6' : 'ipv4';
    list.addSubnet(address, prefix === undefined ? (family === 'ipv6' ? 128 : 32) : Number(prefix), family);
  }
  return list;
}
