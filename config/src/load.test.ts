import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { explain, explainInOneLine } from './explain.ts';
import { loadConfig, parseConfig } from './load.ts';
import { allKeys } from './schema-keys.ts';
import { configSchema } from './schema.ts';

const BAD = join(import.meta.dirname, '../../test/bad-configs');
const DEFAULTS = join(import.meta.dirname, '../posthorn.yaml');

function parse(text: string) {
  const result = parseConfig(text, '/etc/posthorn/posthorn.yaml', 'machine.example');
  if (!result.ok) throw new Error(explain(result.problems));
  return result.config;
}

describe('each file of test/bad-configs is answered with its expected text', () => {
  const names = readdirSync(BAD).filter((name) => name.endsWith('.yaml'));
  it.each(names)('%s', (name) => {
    const result = parseConfig(readFileSync(join(BAD, name), 'utf8'), name, 'mail.example');
    const expected = readFileSync(join(BAD, name.replace('.yaml', '.expected.txt')), 'utf8');
    expect(result.ok ? 'valid' : explain(result.problems)).toBe(expected);
  });
  it('has them', () => expect(names.length).toBeGreaterThan(20));
});

describe('config/posthorn.yaml', () => {
  const text = readFileSync(DEFAULTS, 'utf8');
  it('holds the defaults and nothing else', () => expect(parse(text)).toEqual(parse('')));
  it('names every key, in a comment where it has no default', () => {
    for (const { key } of allKeys(configSchema)) expect(text).toMatch(new RegExp(`\\b${key}:`));
  });
});

describe('a valid file', () => {
  it('may be empty, or only comments', () => expect(parse('# nothing\n')).toEqual(parse('{}')));
  it('has paths made absolute, relative to itself', () => {
    const config = parse(
      'tls: { certificate: tls/a.pem, key: /b.pem }\nplugins: [bayes, ./mine.ts, plugins/ours.ts, { ../its.ts: { a: 1 } }]',
    );
    expect(config.data).toBe('/etc/posthorn/data');
    expect(config.users).toBe('/etc/posthorn/users.yaml');
    expect(config.tls).toMatchObject({ certificate: '/etc/posthorn/tls/a.pem', key: '/b.pem' });
    expect(config.plugins).toEqual([
      'bayes',
      '/etc/posthorn/mine.ts',
      '/etc/posthorn/plugins/ours.ts',
      { '/etc/its.ts': { a: 1 } },
    ]);
  });
  it('takes the name of the machine unless it sets one', () => {
    expect(parse('').hostname).toBe('machine.example');
    expect(parse('hostname: mx.example.org').hostname).toBe('mx.example.org');
    expect(parse('hostname: bücher.example').hostname).toBe('xn--bcher-kva.example');
  });
  it('is frozen all the way down, and survives a structured clone', () => {
    const config = parse('plugins: [{ bayes: { deep: { deeper: [1] } } }]\ndomains: { example.org: }');
    expect(structuredClone(config)).toEqual(config);
    expect(() => config.relay.from.push('0.0.0.0/0')).toThrow(TypeError);
    expect(config.domains['example.org']?.plusAddressing).toBe(true);
  });
  it('gives a POP3 client the ten minutes of RFC 1939, unless it says otherwise', () => {
    const listeners = ['smtp', 'submission', 'pop3'].map(
      (name, at) => `{name: ${name}, protocol: ${name}, address: "[::1]:${at + 1}"}`,
    );
    const waits = (text: string) => parse(text).listeners.map(({ timeouts }) => timeouts.commandMs / 60_000);
    expect(waits(`listeners: [${listeners.join()}]`)).toEqual([5, 5, 10]);
    expect(waits('{}')).toEqual([5, 5, 5, 10, 10]);
    expect(waits('listeners: [{name: a, protocol: pop3, address: "[::1]:1", timeouts: {commandMs: 2m}}]')).toEqual([2]);
  });
  it('cuts off no POP3 client in the middle of a large maildrop: it has a day, others an hour, unless it says otherwise', () => {
    const lasts = (text: string) => parse(text).listeners.map(({ timeouts }) => timeouts.sessionMs / 3_600_000);
    expect(lasts('{}')).toEqual([1, 1, 1, 24, 24]);
    expect(lasts('listeners: [{name: a, protocol: pop3, address: "[::1]:1", timeouts: {sessionMs: 2h}}]')).toEqual([2]);
  });
  it('reads sizes and durations in all their units', () => {
    const config = parse('queue: { retry: [1500, 2s, 1.5m, 2h, 1 d], minFreeBytes: 10 kb }\nthroughput: { spillBytes: 64KiB }');
    expect(config.queue.retry).toEqual([1500, 2000, 90_000, 7_200_000, 86_400_000]);
    expect(config.queue.minFreeBytes).toBe(10_000);
    expect(config.throughput.spillBytes).toBe(65_536);
  });
  it('may use anchors', () => {
    const config = parse('domains:\n  a.example: &same { catchAll: bob }\n  b.example: *same\n');
    expect(config.domains['b.example']?.catchAll).toBe('bob');
  });
  it('limits that are told to clients have six digits at the most', () => {
    const listener = (key: string) => `listeners: [{name: mx, protocol: smtp, address: '127.0.0.1:25', ${key}}]`;
    expect(parse(listener('limits: {maxMessages: 999999}')).listeners[0]?.limits.maxMessages).toBe(999_999);
    for (const key of ['limits: {maxMessages: 1000000}', 'maxRecipients: 1000000', 'maxRecipientDomains: 1000000'])
      expect(() => parse(listener(key)), key).toThrow();
  });
  it('may listen on port 0 more than once, and on IPv4 and IPv6 alike', () => {
    const one = (name: string, address: string) => `{ name: ${name}, protocol: smtp, address: "${address}" }`;
    const text = `listeners: [${one('a', '127.0.0.1:0')}, ${one('b', '127.0.0.1:0')}, ${one('c', '0.0.0.0:25')}, ${one('d', '[::]:25')}]`;
    expect(parse(text).listeners).toHaveLength(4);
  });
});

describe('a file that cannot be read', () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'posthorn-config-'));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  function problemOf(file: string): string {
    const result = loadConfig(file);
    return result.ok ? 'valid' : result.problems.map(explainInOneLine).join('\n');
  }

  it('is not there', () =>
    expect(problemOf(join(folder, 'none.yaml'))).toMatch(/none\.yaml: cannot be read: there is no such file$/));
  it('is a folder', () => expect(problemOf(folder)).toMatch(/is a folder, not a file$/));
  it('is too large', () => {
    const file = join(folder, 'large.yaml');
    writeFileSync(file, Buffer.alloc(5 * 1024 * 1024, '#'));
    expect(problemOf(file)).toMatch(/is larger than 4194304 bytes$/);
  });
  it('is not UTF-8', () => {
    const file = join(folder, 'latin.yaml');
    writeFileSync(file, Buffer.from('hostname: "stra\xdfe"', 'latin1'));
    expect(problemOf(file)).toMatch(/is not UTF-8 text$/);
  });
  it('may begin with a byte order mark', () => {
    const file = join(folder, 'bom.yaml');
    writeFileSync(file, '\ufeffhostname: mx.example.org\n');
    expect(problemOf(file)).toBe('valid');
  });
});

describe('whatever the text', () => {
  it('nesting without end is a problem, not a crash', () => {
    for (const open of ['[', '{a: ', '- ', '? ']) {
      const result = parseConfig(open.repeat(20_000), 'x.yaml', 'm');
      expect(result.ok).toBe(false);
    }
  });
  it('thousands of slips are shown in part', () => {
    const result = parseConfig(Array.from({ length: 2_000 }, (_, i) => `key${i}: 1`).join('\n'), 'x.yaml', 'm');
    if (result.ok) expect.unreachable();
    expect(explain(result.problems)).toMatch(/… and 1950 more\n$/);
  });
  it('the parser ends with a configuration or with problems that can be shown', () => {
    const words = [
      'listeners:',
      'queue:',
      '  retry:',
      ' [',
      ']',
      '{',
      '}',
      ': ',
      '- ',
      '\n',
      '\t',
      '&a ',
      '*a',
      '!t ',
      '"',
      "'",
      '|',
      '5m',
      '\0',
      'é',
      '%',
      '---\n',
    ];
    fc.assert(
      fc.property(fc.array(fc.oneof(fc.constantFrom(...words), fc.string()), { maxLength: 30 }), (parts) => {
        const result = parseConfig(parts.join(''), 'x.yaml', 'm');
        if (!result.ok) expect(explain(result.problems)).toMatch(/^x\.yaml:\d+:\d+:/);
      }),
      { numRuns: 1000 },
    );
  });
});

describe('the caret', () => {
  it('stays under its word in a long line', () => {
    const result = parseConfig(`data: ./${'x'.repeat(300)}\nrelay: { ${' '.repeat(300)}vai: null }`, 'x.yaml', 'm');
    if (result.ok) expect.unreachable();
    const [, line, caret] = explain(result.problems).split('\n');
    expect(line?.slice(caret?.indexOf('^'), (caret?.lastIndexOf('^') ?? 0) + 1)).toBe('vai');
  });
});
