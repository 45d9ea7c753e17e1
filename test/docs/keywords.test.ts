/**
 * No announced keyword without its tests: whatever a listener of any kind says in answer to EHLO or LHLO is named by a
 * page of docs/rfc ("Announced as:"), whose rows test/docs/rfc.test.ts holds against tests that are there; and a client
 * uses it in some dialogue. The listeners are wired as in the server, with every key that makes them offer more.
 */
import 'reflect-metadata';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseConfig } from '@posthorn/config';
import { createSmtpSession } from '@posthorn/core/smtp/session';
import { wireReception } from '@posthorn/core/wiring/reception';
import { beforeAll, describe, expect, test } from 'vitest';
import { announcedWords } from '../lib/rfc-page.ts';
import { readDialogs } from '../lib/smtp-dialog.ts';
import { createKit, NO_HOOKS, RecordingOutput } from '../lib/smtp-ports.ts';
import { tlsOf } from '../lib/test-tls.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const TRUSTED = '192.0.2.99';
const CONFIG = `
domains: { example.org: { } }
listeners:${['smtp', 'submission', 'lmtp']
  .map(
    (protocol, index) => `
  - { name: ${protocol}, protocol: ${protocol}, address: "127.0.0.1:${2600 + index}", maxRecipientDomains: 5,
      xclientFrom: [${TRUSTED}], xforwardFrom: [${TRUSTED}] }`,
  )
  .join('')}
`;

/** What listeners say, in clear and under TLS: keywords, those of AUTH with their mechanism. */
function announced(): Set<string> {
  const parsed = parseConfig(CONFIG, '/etc/posthorn/posthorn.yaml', 'mx.example.org');
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems));
  const forms = { password: true, secret: true, scram: true, bearer: true };
  const { ports } = createKit({ forms });
  const reception = wireReception({
    ...ports,
    config: parsed.config,
    users: [],
    hostname: 'mx.example.org',
    pipeline: NO_HOOKS,
    threadTag: 't',
    lockDirectory: '/nowhere',
  });
  const words = new Set<string>();
  for (const listener of parsed.config.listeners) {
    for (const secured of [false, true]) {
      const output = new RecordingOutput();
      const session = reception.sessionsFor(listener)({ address: TRUSTED, port: 1, sessionId: 'S' }, output);
      if (secured) session.secured(tlsOf('X', ['certificate', 'exporter', 'server-end-point']));
      session.start();
      session.feed(Buffer.from(`${listener.protocol === 'lmtp' ? 'LHLO' : 'EHLO'} client.example\r\n`));
      const lines = output.text.split('\r\n').filter((line) => line.startsWith('250'));
      for (const line of lines.slice(1)) {
        const [keyword = '', ...rest] = line.slice(4).split(' ');
        words.add(keyword);
        if (keyword === 'AUTH') for (const mechanism of rest) words.add(`AUTH ${mechanism}`);
      }
    }
  }
  return words;
}

/** Page of each keyword, as the pages say. */
const pages = new Map<string, string>();
for (const page of readdirSync(join(ROOT, 'docs/rfc'))) {
  for (const keyword of announcedWords(readFileSync(join(ROOT, 'docs/rfc', page), 'utf8'))) pages.set(keyword, page);
}

/** Keywords that a client uses by saying a verb or a parameter of another name, or by what it sends. */
const USED_AS: Readonly<Record<string, RegExp>> = {
  PIPELINING: /^RCPT [^\r]*\r\nDATA\r\n/im,
  PIPECONNECT: /^EHLO [^\r]*\r\nMAIL /im,
  CHUNKING: /^BDAT \d/im,
  '8BITMIME': /BODY=8BITMIME/i,
  BINARYMIME: /BODY=BINARYMIME/i,
  ENHANCEDSTATUSCODES: /./,
  LIMITS: /^MAIL /im,
  DSN: /NOTIFY=/i,
  DELIVERBY: / BY=/i,
  FUTURERELEASE: / HOLDFOR=/i,
};

describe('every announced keyword', () => {
  let words: Set<string>;
  beforeAll(() => {
    words = announced();
  });

  test('is there', () => {
    expect(words.size).toBeGreaterThan(20);
    for (const word of ['SIZE', 'STARTTLS', 'PRDR', 'XCLIENT', 'AUTH SCRAM-SHA-256-PLUS']) expect(words).toContain(word);
  });

  test('has its page', () => {
    expect([...words].filter((word) => !pages.has(word))).toEqual([]);
  });

  test('is used in a dialogue', () => {
    const dialogs = readDialogs(new URL('../dialogs/smtp/', import.meta.url));
    const said = dialogs.map(({ steps }) => Buffer.concat(steps.map((step) => step.bytes)).toString('latin1'));
    const unused = [...words].filter((word) => {
      const pattern = USED_AS[word] ?? new RegExp(`^${word}\\b|^(MAIL|RCPT) .* ${word}\\b`, 'im');
      return !said.some((text) => pattern.test(text));
    });
    expect(unused).toEqual([]);
  });

  test('and no page claims one that nobody says', () => {
    const { ports, profile } = createKit();
    const requests = { dsn: true, minDeliverBySeconds: 0, maxHoldSeconds: 1, priority: true, requireTls: true };
    const output = new RecordingOutput();
    const session = createSmtpSession(
      ports,
      { ...profile, kind: 'submission', requests },
      { address: '192.0.2.7', port: 1, sessionId: 'S', tls: tlsOf('X', []) },
      output,
    );
    session.start();
    session.feed(Buffer.from('EHLO client.example\r\n'));
    const others = [...output.text.matchAll(/^250[ -]([A-Z0-9-]+)/gm)].map(([, word]) => word);
    const claimed = [...pages.keys()].filter((word) => !word.startsWith('CAPA '));
    expect(claimed.filter((word) => !words.has(word) && !others.includes(word))).toEqual([]);
  });
});
