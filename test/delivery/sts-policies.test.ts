/**
 * MTA-STS policies as they are found, fetched and kept (RFC 8461), from an HTTPS server of our own. It has to be on port 443,
 * so it is on a loopback address of its own; where even that may not be bound there is nothing to test.
 */
import { createServer, type Server } from 'node:https';
import type { StsPolicies } from '@posthorn/core/delivery/sts';
import { type Dns, DnsError } from '@posthorn/core/mail/dns';
import { createStsPolicies } from '@posthorn/mta-sts';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { silentLog } from '../lib/delivery-rig.ts';
import { testCertificate } from '../lib/test-certificate.ts';
import { type TrustedCa, trustNewCa } from '../lib/trusted-ca.ts';

const ADDRESS = '127.84.61.1';
const POLICY = ['version: STSv1', 'mode: enforce', 'mx: mx.y.test', 'mx: *.mx.y.test', 'max_age: 604800', ''].join('\r\n');
const DAY_MS = 86_400_000;

let ca: TrustedCa;
let server: Server;
let certificates: Record<'right' | 'other name' | 'nobody signed', { readonly cert: string; readonly key: string }>;
let answer: { status: number; headers: Record<string, string>; body: string };
let fetched: string[];
let records: string[];
let dnsFails: boolean;
let nowMs: number;
let logged: string[];
let policies: StsPolicies;

const mayBind = await new Promise<boolean>((resolve) => {
  const probe = createServer()
    .once('error', () => resolve(false))
    .listen(443, ADDRESS, () => probe.close(() => resolve(true)));
});

const dns: Pick<Dns, 'resolve'> = {
  async resolve(name, type) {
    if (dnsFails) throw new DnsError('temporary', 'ESERVFAIL', name);
    if (name === '_mta-sts.y.test' && type === 'TXT' && records.length > 0) return records.map((text) => [text]);
    if (name === 'mta-sts.y.test' && type === 'A') return [ADDRESS];
    throw new DnsError('notfound', 'ENOTFOUND', name);
  },
};

/** @returns whether the policy in force names mx.y.test and says so, or the word for none */
async function find(): Promise<string> {
  const policy = await policies.find('y.test');
  return typeof policy === 'string' ? policy : `${policy.mode} ${policy.names('mx.y.test') ? 'names it' : 'names others'}`;
}

describe.skipIf(!mayBind)('policies', () => {
  beforeAll(async () => {
    ca = await trustNewCa();
    certificates = {
      right: await ca.serverFor('mta-sts.y.test'),
      'other name': await ca.serverFor('y.test'),
      'nobody signed': testCertificate,
    };
  });
  afterAll(() => ca.forget());

  beforeEach(async () => {
    answer = { status: 200, headers: { 'content-type': 'text/plain' }, body: POLICY };
    fetched = [];
    records = ['v=STSv1; id=1;'];
    dnsFails = false;
    nowMs = Date.now();
    logged = [];
    const clock = { now: () => nowMs, monotonic: () => nowMs, after: () => () => undefined };
    policies = createStsPolicies({ dns, clock, log: { ...silentLog, warn: (event) => void logged.push(event) } });
    server = createServer(certificates.right, (request, response) => {
      fetched.push(`${request.headers.host} ${request.url}`);
      response.writeHead(answer.status, answer.headers).end(answer.body);
    });
    await new Promise<void>((resolve) => server.listen(443, ADDRESS, resolve));
  });
  afterEach(() => new Promise((resolve) => server.close(resolve)));

  it('are fetched once, by the name of the policy host, and name hosts with one label for a star', async () => {
    const [one, two] = await Promise.all([policies.find('y.test'), policies.find('y.test')]);
    expect(one).toBe(two);
    if (typeof one === 'string') throw new Error(one);
    expect(one.mode).toBe('enforce');
    expect(['mx.y.test', 'MX.Y.test', 'a.mx.y.test', 'a.b.mx.y.test', 'y.test', 'mx.y.test.evil.test'].map(one.names)).toEqual([
      true,
      true,
      true,
      false,
      false,
      false,
    ]);
    expect(await find()).toBe('enforce names it');
    expect(fetched).toEqual(['mta-sts.y.test /.well-known/mta-sts.txt']);
  });

  it('are none for a domain without a record, with two, or with one that is none', async () => {
    for (const found of [[], ['v=STSv1; id=1', 'v=STSv1; id=2'], ['v=STSv2; id=1'], ['v=STSv1; id=not a word']]) {
      records = found;
      expect(['none', 'unknown']).toContain(await find());
    }
    expect(fetched).toEqual([]);
  });

  it('are none with mode none, and testing with mode testing', async () => {
    answer.body = POLICY.replace('enforce', 'none');
    expect(await find()).toBe('none');
    records = ['v=STSv1; id=2'];
    answer.body = POLICY.replace('enforce', 'testing');
    expect(await find()).toBe('testing names it');
  });

  it('are fetched anew when the id in DNS changes, and not before', async () => {
    await find();
    answer.body = POLICY.replaceAll('mx.y.test', 'mx3.y.test');
    expect(await find()).toBe('enforce names it');
    records = ['v=STSv1; id=2'];
    expect(await find()).toBe('enforce names others');
    expect(fetched).toHaveLength(2);
  });

  it('stay in force while no record or no policy can be had (§5.1)', async () => {
    await find();
    dnsFails = true;
    expect(await find()).toBe('enforce names it');
    nowMs += 300_001;
    [dnsFails, records] = [false, []];
    expect(await find()).toBe('enforce names it');
    nowMs += 300_001;
    records = ['v=STSv1; id=2'];
    answer.status = 500;
    expect(await find()).toBe('enforce names it');
  });

  it('are unknown when nothing can be had and none is remembered; that is logged, and asked for again later', async () => {
    answer.status = 500;
    expect(await find()).toBe('unknown');
    expect(await find()).toBe('unknown');
    expect(fetched).toHaveLength(1);
    expect(logged).toEqual(['sts-not-fetched']);
    dnsFails = true;
    expect(await policies.find('z.test')).toBe('unknown');
  });

  it.each([
    ['that is a redirect', () => void (answer = { ...answer, status: 302, headers: { location: 'https://mta-sts.y.test/x' } })],
    ['of another type', () => void (answer.headers = { 'content-type': 'text/html' })],
    ['that is too large', () => void (answer.body = `${POLICY}x: ${'y'.repeat(70_000)}\r\n`)],
    ['that is none', () => void (answer.body = 'version: STSv1\r\nmode: enforce\r\nmax_age: 1\r\n')],
    ['of a host that proves another name', () => server.setSecureContext(certificates['other name'])],
    ['of a host that proves nothing', () => server.setSecureContext(certificates['nobody signed'])],
  ])('are not believed in an answer %s', async (_, change) => {
    change();
    expect(await find()).toBe('unknown');
  });

  it('are fetched anew once a day, and kept when that fails', async () => {
    await find();
    nowMs += DAY_MS;
    expect(await find()).toBe('enforce names it');
    expect(fetched).toHaveLength(2);
    nowMs += DAY_MS;
    answer.status = 500;
    expect(await find()).toBe('enforce names it');
    expect(await find()).toBe('enforce names it');
    expect(fetched).toHaveLength(3);
  });
});
