/**
 * The public test suites of RFC 7208 (SPF), Mail::DKIM and ARC, through the plugin's hook, from the corpus beside the project
 * (absent: skipped, loudly). Cases where we differ are listed with the reason; a new difference fails, and so does one that
 * went away.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { ask, resultOf, txtZone, type Zone } from './ask.ts';

const CORPUS = join(import.meta.dirname, '../../../../shared/corpus/auth');
const there = existsSync(CORPUS);
if (!there) console.warn(`SKIPPED: no corpus in ${CORPUS}: the SPF, DKIM and ARC suites were not run`);
const read = (name: string): string => readFileSync(join(CORPUS, name), 'latin1');

interface SpfCase {
  readonly helo: string;
  readonly host: string;
  readonly mailfrom: string;
  readonly result: string | readonly string[];
}
type SpfRecords = readonly (string | Readonly<Record<string, unknown>>)[];
interface SpfDocument {
  readonly tests: Readonly<Record<string, SpfCase>>;
  readonly zonedata: Readonly<Record<string, SpfRecords>>;
}

/** The suite writes SPF policies as type SPF; drivers copy them to TXT unless a name has a TXT of its own. */
function spfZone(zonedata: SpfDocument['zonedata']): Zone {
  const zone = new Map<string, unknown[] | 'ETIMEOUT'>();
  for (const [name, records] of Object.entries(zonedata)) {
    const key = (type: string): string => `${name.toLowerCase()} ${type}`;
    const timesOut = records.includes('TIMEOUT');
    const hasTxt = records.some((one) => typeof one === 'object' && 'TXT' in one);
    for (const type of ['TXT', 'A', 'AAAA', 'MX', 'PTR']) zone.set(key(type), timesOut ? 'ETIMEOUT' : []);
    for (const record of records) {
      if (typeof record === 'string') continue;
      for (const [type, value] of Object.entries(record)) {
        const as = type === 'SPF' ? (hasTxt ? undefined : 'TXT') : type;
        if (as === undefined || value === 'NONE') continue;
        const list = zone.get(key(as));
        const entry = toAnswer(as, value);
        if (Array.isArray(list)) list.push(entry);
        else zone.set(key(as), [entry]);
      }
    }
  }
  // CNAME: the answers of the target.
  for (const [name, records] of Object.entries(zonedata)) {
    const target = records
      .map((one) => (typeof one === 'object' ? one['CNAME'] : undefined))
      .find((one) => typeof one === 'string');
    if (target === undefined) continue;
    for (const type of ['TXT', 'A', 'AAAA', 'MX', 'PTR']) {
      const answer = zone.get(`${target.toLowerCase()} ${type}`);
      if (answer !== undefined) zone.set(`${name.toLowerCase()} ${type}`, answer);
    }
  }
  return zone;
}

function toAnswer(type: string, value: unknown): unknown {
  if (type === 'TXT') return Array.isArray(value) ? value.map(String) : [String(value)];
  if (type === 'MX') return { priority: (value as [number, string])[0], exchange: (value as [number, string])[1] };
  return String(value);
}

describe.skipIf(!there)('SPF: the RFC 7208 suite', () => {
  test('passes whole', async () => {
    const differences: string[] = [];
    let total = 0;
    for (const document of parseAllDocuments(read('rfc7208-tests.yml'))) {
      const { tests, zonedata } = document.toJS() as SpfDocument;
      const zone = spfZone(zonedata);
      for (const [name, one] of Object.entries(tests)) {
        total++;
        const content = 'From: a@unrelated.example\n\nx\n';
        const { header } = await ask({ content, helo: one.helo, clientAddress: one.host, reversePath: one.mailfrom }, zone);
        const got = resultOf(header, 'spf') ?? 'no result';
        if (![one.result].flat().includes(got)) differences.push(`${name}: ${got}, expected ${[one.result].flat().join(' or ')}`);
      }
    }
    console.log(`RFC 7208: ${total - differences.length} of ${total}`);
    expect(differences).toEqual([]);
  });
});

/** Signatures that Mail::DKIM still takes and we, by the RFCs in force, do not: what mailauth says of them, and why. */
const DKIM_DIFFERENCES = [
  { says: /dkim=none \(message not signed\)/, why: 'DomainKeys only (RFC 4870, historic)', count: 8 },
  { says: /dkim=neutral \(signature missing required tag\)/, why: 'drafts before RFC 4871: no v= tag (RFC 6376 §3.5)', count: 8 },
  { says: /dkim=policy \(weak algorithm\)/, why: 'rsa-sha1 (RFC 8301 §3.1)', count: 7 },
];

describe.skipIf(!there)('DKIM: mails of Mail::DKIM', () => {
  test('pass and fail as expected but for the differences listed', async () => {
    const zone = new Map<string, readonly unknown[] | 'ETIMEOUT' | 'ESERVFAIL'>();
    for (const line of read('dkim-maildkim/FAKE_DNS.dat').split('\n')) {
      const match = /^([^#\s]\S*)\s+(.*)$/.exec(line);
      if (match === null || match[2] === 'NXDOMAIN') continue;
      const text = match[2]!;
      zone.set(
        `${match[1]!.toLowerCase()} TXT`,
        text.startsWith('~~') ? (text.includes('SERVFAIL') ? 'ESERVFAIL' : 'ETIMEOUT') : [[text]],
      );
    }
    const differences: string[] = [];
    let total = 0;
    for (const line of read('dkim-maildkim/expect.tsv').trim().split('\n').slice(1)) {
      const [file = '', expected = ''] = line.split('\t');
      if (!existsSync(join(CORPUS, 'dkim-maildkim', file))) continue;
      total++;
      const { header } = await ask({ content: read(`dkim-maildkim/${file}`) }, zone);
      const got = resultOf(header, 'dkim') ?? 'no result';
      if ((got === 'pass') !== (expected === 'pass')) differences.push(`${file}: ${header}`);
    }
    console.log(`Mail::DKIM: ${total - differences.length} of ${total}`);
    for (const { says, why, count } of DKIM_DIFFERENCES) {
      console.log(`  ${count} differ: ${why}`);
      expect(differences.filter((one) => says.test(one))).toHaveLength(count);
    }
    expect(differences.filter((one) => !DKIM_DIFFERENCES.some(({ says }) => says.test(one)))).toEqual([]);
  });
});

/** Where we differ from the suite, written for a draft. An empty expectation: the suite leaves the result open. */
const ARC_DIFFERENCES = [
  'cv_fail_i1_as_cv_fail: fail, expected ',
  'cv_fail_i2_as2_fail: fail, expected ',
  'cv_fail_i2_as1_fail: fail, expected ',
  // Without c= the canonicalization is simple/simple (RFC 8617 §4.1.2); the draft had relaxed/relaxed.
  'ams_fields_c_na: fail, expected Pass',
  // h= must name a field (RFC 6376 §3.5).
  'ams_fields_h_empty: fail, expected Pass',
];

interface ArcDocument {
  readonly tests: Readonly<Record<string, { readonly message: string; readonly cv: string | null }>>;
  readonly 'txt-records': Readonly<Record<string, string>>;
}

describe.skipIf(!there)('ARC: the validation suite', () => {
  test('passes but for the differences listed', async () => {
    const differences: string[] = [];
    let total = 0;
    for (const document of parseAllDocuments(read('arc/arc-draft-validation-tests.yml'))) {
      const { tests, ...rest } = document.toJS() as ArcDocument;
      const zone = txtZone(rest['txt-records'] ?? {});
      for (const [name, one] of Object.entries(tests ?? {})) {
        total++;
        const { header } = await ask({ content: one.message }, zone, {});
        const got = resultOf(header, 'arc') ?? 'none';
        if (got !== String(one.cv).toLowerCase()) differences.push(`${name}: ${got}, expected ${one.cv}`);
      }
    }
    console.log(`ARC: ${total - differences.length} of ${total}`);
    expect(differences).toEqual(ARC_DIFFERENCES);
  });
});
