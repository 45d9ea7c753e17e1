/** The resolver against a DNS server of our own: what is found, what fails and how, what is asked again. */
import { createResolver } from '@posthorn/core/dns/resolver';
import { DnsError } from '@posthorn/core/mail/dns';
import { afterEach, describe, expect, it } from 'vitest';
import { type DnsServer, startDnsServer, type Zones } from '../lib/dns-server.ts';

const servers: DnsServer[] = [];
let nowMs = 0;
const clock = { now: () => nowMs, monotonic: () => nowMs, after: () => () => undefined };

async function resolverFor(zones: Zones, timeoutMs = 1000, maxEntries = 100) {
  const server = await startDnsServer(zones);
  servers.push(server);
  return { server, dns: createResolver({ servers: [server.address], timeoutMs, clock, maxEntries }) };
}

afterEach(async () => {
  await Promise.all(servers.splice(0).map((one) => one.close()));
});

const failure = async (question: Promise<unknown>): Promise<string> => {
  const error: unknown = await question.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  return error instanceof DnsError ? `${error.kind} ${error.code}` : `no DnsError: ${String(error)}`;
};

describe('the resolver', () => {
  it('finds each type, through CNAMEs too', async () => {
    const { dns } = await resolverFor({
      'x.test': { mx: [[10, 'a.test']], a: ['192.0.2.1'], aaaa: ['2001:db8::1'], txt: ['v=spf1 -all'] },
      'www.x.test': { cname: 'x.test' },
      '1.2.0.192.in-addr.arpa': { ptr: ['x.test'] },
    });
    expect(await dns.mx('x.test')).toEqual([expect.objectContaining({ exchange: 'a.test', priority: 10 })]);
    expect(await dns.a('www.x.test')).toEqual(['192.0.2.1']);
    expect(await dns.aaaa('x.test')).toEqual(['2001:db8::1']);
    expect(await dns.txt('x.test')).toEqual([['v=spf1 -all']]);
    expect(await dns.ptr('192.0.2.1')).toEqual(['x.test']);
    expect(await dns.resolve('x.test', 'TXT')).toEqual([['v=spf1 -all']]);
  });

  it('gives a null MX as it is', async () => {
    const { dns } = await resolverFor({ 'x.test': { mx: [[0, '.']] } });
    const [record] = await dns.mx('x.test');
    expect(['', '.']).toContain(record?.exchange);
  });

  it('takes an answer too large for UDP over TCP', async () => {
    const long = Array.from({ length: 20 }, (_, index) => `${index} ${'x'.repeat(100)}`);
    const { dns } = await resolverFor({ 'x.test': { txt: long } });
    expect(await dns.txt('x.test')).toHaveLength(20);
  });

  it('tells what does not exist from what is not answered', async () => {
    const { dns } = await resolverFor({ 'empty.test': {}, 'broken.test': { fail: true }, 'mute.test': { silent: true } }, 100);
    expect(await failure(dns.mx('gone.test'))).toBe('notfound ENOTFOUND');
    expect(await failure(dns.mx('empty.test'))).toBe('notfound ENODATA');
    expect(await failure(dns.mx('broken.test'))).toBe('temporary ESERVFAIL');
    expect(await failure(dns.mx('mute.test'))).toBe('temporary ETIMEOUT');
  });

  it('asks the network nothing about localhost', async () => {
    const { dns, server } = await resolverFor({});
    expect([await dns.a('localhost'), await dns.aaaa('LOCALHOST.')]).toEqual([['127.0.0.1'], ['::1']]);
    expect(server.questions).toEqual([]);
  });

  it('asks once for what it knows, at the same time and for a while, and again later', async () => {
    const { dns, server } = await resolverFor({ 'x.test': { a: ['192.0.2.1'] } });
    await Promise.all([dns.a('x.test'), dns.a('X.test')]);
    await dns.a('x.test');
    expect(server.questions).toEqual(['A x.test']);
    nowMs += 61_000;
    await dns.a('x.test');
    expect(server.questions).toHaveLength(2);
  });

  it('forgets a failure of the server sooner than an answer', async () => {
    const { dns, server } = await resolverFor({ 'x.test': { fail: true } });
    expect(await failure(dns.a('x.test'))).toBe('temporary ESERVFAIL');
    const asked = server.questions.length;
    expect(await failure(dns.a('x.test'))).toBe('temporary ESERVFAIL');
    expect(server.questions).toHaveLength(asked);
    server.zones['x.test'] = { a: ['192.0.2.1'] };
    nowMs += 6_000;
    expect(await dns.a('x.test')).toEqual(['192.0.2.1']);
  });

  it('keeps no more than it may', async () => {
    const zones = Object.fromEntries(Array.from({ length: 5 }, (_, index) => [`n${index}.test`, { a: ['192.0.2.1'] }]));
    const { dns, server } = await resolverFor(zones, 1000, 2);
    for (const name of Object.keys(zones)) await dns.a(name);
    await dns.a('n0.test');
    expect(server.questions).toHaveLength(6);
  });
});
