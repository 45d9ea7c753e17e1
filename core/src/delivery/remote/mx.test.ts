import { describe, expect, it } from 'vitest';
import { type Dns, DnsError } from '../../mail/dns.ts';
import type { RemoteHop } from '../route.ts';
import { findTargets, type TargetsResult } from './mx.ts';

interface Names {
  readonly [name: string]: {
    readonly mx?: readonly (readonly [number, string])[];
    readonly a?: readonly string[];
    readonly aaaa?: readonly string[];
    readonly fails?: boolean;
  };
}

function dnsOf(names: Names): Dns {
  async function find<T>(name: string, pick: (entry: Names[string]) => readonly T[] | undefined): Promise<T[]> {
    const entry = names[name];
    if (entry === undefined) throw new DnsError('notfound', 'ENOTFOUND', name);
    if (entry.fails === true) throw new DnsError('temporary', 'ESERVFAIL', name);
    const found = pick(entry) ?? [];
    if (found.length === 0) throw new DnsError('notfound', 'ENODATA', name);
    return [...found];
  }
  const none = async (): Promise<never> => {
    throw new DnsError('notfound', 'ENODATA', 'none');
  };
  return {
    mx: (name) => find(name, ({ mx }) => mx?.map(([priority, exchange]) => ({ priority, exchange }))),
    a: (name) => find(name, ({ a }) => a),
    aaaa: (name) => find(name, ({ aaaa }) => aaaa),
    txt: none,
    ptr: none,
    resolve: none,
  };
}

const MX: RemoteHop = { to: 'mx', key: 'k', domain: 'x.test', port: 25, tls: 'never' };

function find(names: Names, hop: RemoteHop = MX, random: () => number = () => 0): Promise<TargetsResult> {
  const isSelf = (address: string): boolean => address === '10.0.0.1';
  return findTargets(hop, { dns: dnsOf(names), isSelf, hostname: 'me.test', random });
}

async function addresses(names: Names, hop?: RemoteHop, random?: () => number): Promise<readonly string[]> {
  const result = await find(names, hop, random);
  return result.ok ? result.targets.map(({ host, address }) => `${host} ${address}`) : [result.reply];
}

describe('the addresses of a domain', () => {
  it('are those of its MX hosts in order of preference, IPv6 first', async () => {
    const names: Names = {
      'x.test': {
        mx: [
          [20, 'b.test'],
          [10, 'A.test.'],
        ],
      },
      'a.test': { a: ['192.0.2.1'], aaaa: ['2001:db8::1'] },
      'b.test': { a: ['192.0.2.2'] },
    };
    expect(await addresses(names)).toEqual(['a.test 2001:db8::1', 'a.test 192.0.2.1', 'b.test 192.0.2.2']);
  });

  it('come in random order among equal preferences', async () => {
    const names: Names = {
      'x.test': {
        mx: [
          [10, 'a.test'],
          [10, 'b.test'],
        ],
      },
      'a.test': { a: ['192.0.2.1'] },
      'b.test': { a: ['192.0.2.2'] },
    };
    const dice = [0.9, 0.1];
    expect(await addresses(names, MX, () => dice.shift() ?? 0)).toEqual(['b.test 192.0.2.2', 'a.test 192.0.2.1']);
  });

  it('are its own where it has no MX (implicit MX)', async () => {
    expect(await addresses({ 'x.test': { a: ['192.0.2.9'] } })).toEqual(['x.test 192.0.2.9']);
  });

  it('are not its own where it has MX hosts without addresses', async () => {
    expect(await addresses({ 'x.test': { mx: [[10, 'gone.test']], a: ['192.0.2.9'] } })).toEqual([
      '550 5.4.4 none of the mail hosts of x.test has an address',
    ]);
  });

  it('are not what only looks like one: the system would read 012.0.0.1 as 10.0.0.1, which is us', async () => {
    const names = { 'x.test': { mx: [[10, '012.0.0.1']] }, '012.0.0.1': { a: ['192.0.2.7'] } } as const;
    expect(await addresses(names)).toEqual(['012.0.0.1 192.0.2.7']);
    expect(await addresses({ 'x.test': { mx: [[10, '192.0.2.9']] } })).toEqual(['192.0.2.9 192.0.2.9']);
  });

  it('are limited in number', async () => {
    const many = Array.from({ length: 40 }, (_, index) => `192.0.2.${index}`);
    expect(await addresses({ 'x.test': { a: many } })).toHaveLength(10);
  });

  it('leave out this server and every host that is not nearer', async () => {
    const names: Names = {
      'x.test': {
        mx: [
          [5, 'first.test'],
          [10, 'equal.test'],
          [10, 'me.test'],
          [20, 'last.test'],
        ],
      },
      'first.test': { a: ['192.0.2.1'] },
      'equal.test': { a: ['192.0.2.2'] },
      'me.test': { a: ['192.0.2.3'] },
      'last.test': { a: ['192.0.2.4'] },
    };
    expect(await addresses(names)).toEqual(['first.test 192.0.2.1']);
  });
});

describe('a domain that cannot be reached', () => {
  it.each<[string, Names, boolean, RegExp]>([
    ['does not exist', {}, true, /^550 5\.1\.2 /],
    ['has neither MX nor address', { 'x.test': {} }, true, /^550 5\.1\.2 /],
    ['has a null MX', { 'x.test': { mx: [[0, '']], a: ['192.0.2.1'] } }, true, /^556 5\.1\.10 /],
    ['has no answering name server', { 'x.test': { fails: true } }, false, /^451 4\.4\.3 /],
    [
      'has an MX host without an answer',
      { 'x.test': { mx: [[1, 'a.test']] }, 'a.test': { fails: true } },
      false,
      /^451 4\.4\.3 /,
    ],
    [
      'has this server as its MX by address',
      { 'x.test': { mx: [[1, 'a.test']] }, 'a.test': { a: ['10.0.0.1'] } },
      true,
      /^554 5\.4\.6 /,
    ],
    ['has this server as its MX by name', { 'x.test': { mx: [[1, 'ME.test']] }, 'me.test': {} }, true, /^554 5\.4\.6 /],
    ['has loopback as its MX', { 'x.test': { mx: [[1, 'a.test']] }, 'a.test': { a: ['127.0.0.1'] } }, true, /^554 5\.4\.6 /],
    ['is this server itself', { 'x.test': { a: ['10.0.0.1'] } }, true, /^554 5\.4\.6 /],
  ])('%s', async (_, names, permanent, reply) => {
    expect(await find(names)).toEqual({ ok: false, permanent, reply: expect.stringMatching(reply) });
  });
});

describe('other hops', () => {
  it('an address literal is tried as it is, but never when it is this server', async () => {
    const literal = { ...MX, to: 'literal', domain: '192.0.2.7' } as const;
    expect(await addresses({}, literal)).toEqual(['192.0.2.7 192.0.2.7']);
    for (const domain of ['127.0.0.1', '127.9.9.9', '0.0.0.0', '::', '0:0:0:0:0:0:0:1', '::ffff:127.0.0.1', '::ffff:a00:1']) {
      expect(await addresses({}, { ...literal, domain }), domain).toEqual([expect.stringMatching(/^554 5\.4\.6 /)]);
    }
  });

  it("a configured host may be this machine, and a missing name there is never the sender's fault", async () => {
    const host = { to: 'host', key: 'k', host: 'hub.test', port: 2525, tls: 'never' } as const;
    expect(await addresses({ 'hub.test': { a: ['127.0.0.1'] } }, host)).toEqual(['hub.test 127.0.0.1']);
    expect(await find({}, host)).toEqual({ ok: false, permanent: false, reply: '451 4.4.4 no address for hub.test' });
  });
});
