/**
 * What CAPA says of POP3 sessions, on listeners of every kind, in clear and under TLS, before and after the login: each
 * word has its page in docs/rfc, whose rows rfc.test.ts holds against tests, and is true in that very session.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { createPop3Session } from '@posthorn/core/pop3/session';
import type { Pop3Profile } from '@posthorn/core/pop3/ports';
import { describe, expect, test } from 'vitest';
import { createPop3Kit } from '../lib/pop3-ports.ts';
import { announcedWords } from '../lib/rfc-page.ts';
import { RecordingOutput, settled } from '../lib/smtp-ports.ts';
import { tlsOf } from '../lib/test-tls.ts';

const PAGES = fileURLToPath(new URL('../../docs/rfc/', import.meta.url));
const claimed = new Set(readdirSync(PAGES).flatMap((page) => announcedWords(readFileSync(PAGES + page, 'utf8'))));
const MECHANISMS = [...claimed].filter((word) => word.startsWith('AUTH ')).map((word) => word.slice('AUTH '.length));

interface Place {
  readonly profile: Partial<Pop3Profile>;
  readonly tls: boolean;
  readonly client: string;
  readonly loggedIn: boolean;
  /** What is said before CAPA and before each probe. */
  readonly before: string;
}

const PLACES: Place[] = [];
for (const plaintextLogin of ['never', 'loopback', 'always'] as const)
  for (const requireTls of [false, true])
    for (const starttls of [false, true])
      for (const tls of [false, true])
        for (const client of ['192.0.2.7', '127.0.0.1'])
          for (const before of [
            '',
            'UTF8\r\n',
            'USER alice\r\nPASS secret word\r\n',
            'UTF8\r\nUSER alice\r\nPASS secret word\r\n',
          ]) {
            const profile = { plaintextLogin, requireTls, starttls, loginDelayMs: client === '127.0.0.1' ? 0 : 60_000 };
            const loggedIn =
              before.includes('PASS') &&
              (tls ||
                (!requireTls && (plaintextLogin === 'always' || (plaintextLogin === 'loopback' && client === '127.0.0.1'))));
            if (loggedIn === before.includes('PASS')) PLACES.push({ profile, tls, client, loggedIn, before });
          }

/** @returns the lines of the reply to `line`, in a session of its own. */
async function say({ profile, tls, client, before }: Place, line: string): Promise<string[]> {
  const kit = createPop3Kit({
    profile,
    forms: { password: true, secret: true, scram: true, bearer: true },
    messages: [{ uidl: 'a', text: 'A: 1\r\n\r\nx\r\n' }],
  });
  const peer = { address: client, port: 1, sessionId: 'S' };
  const output = new RecordingOutput();
  const facts = tlsOf('X', ['certificate', 'exporter', 'server-end-point']);
  const session = createPop3Session(kit.ports, kit.profile, tls ? { ...peer, tls: facts } : peer, output);
  session.start();
  session.feed(Buffer.from(before));
  await settled(session);
  const from = output.text.length;
  session.feed(Buffer.from(`${line}\r\n`));
  await settled(session);
  return output.text.slice(from).split('\r\n').slice(0, -1);
}

async function capabilities(place: Place): Promise<Map<string, string>> {
  const lines = await say(place, 'CAPA');
  expect([lines[0]?.slice(0, 3), lines.at(-1)]).toEqual(['+OK', '.']);
  return new Map(lines.slice(1, -1).map((line) => [line.split(' ')[0]!, line.split(' ').slice(1).join(' ')]));
}

describe(`in ${PLACES.length} sessions`, () => {
  test('every word of CAPA has its page', async () => {
    const words = new Set<string>();
    for (const place of PLACES) for (const word of (await capabilities(place)).keys()) words.add(word);
    expect(words.size).toBe(13);
    expect([...words].filter((word) => !claimed.has(`CAPA ${word}`))).toEqual([]);
    expect([...claimed].filter((word) => word.startsWith('CAPA ') && !words.has(word.slice('CAPA '.length)))).toEqual([]);
  });

  test('every word of CAPA is true: what it names is taken, and what it does not is refused', async () => {
    for (const place of PLACES) {
      const words = await capabilities(place);
      const taken = async (line: string) => (await say(place, line))[0]!.startsWith('+');
      const told = JSON.stringify(place);
      expect(words.get('LOGIN-DELAY'), told).toBe(place.profile.loginDelayMs === 0 ? undefined : '60');
      expect(await taken('LANG'), told).toBe(words.has('LANG'));
      expect(await taken('STLS'), told).toBe(words.has('STLS'));
      const mechanisms = words.get('SASL')?.split(' ') ?? [];
      if (place.loggedIn) {
        expect([await taken('TOP 1 0'), await taken('UIDL')], told).toEqual([words.has('TOP'), words.has('UIDL')]);
        continue;
      }
      expect(await taken('UTF8'), told).toBe(words.has('UTF8'));
      expect(await taken('USER alice'), told).toBe(words.has('USER'));
      for (const mechanism of MECHANISMS)
        expect(await taken(`AUTH ${mechanism}`), told + mechanism).toBe(mechanisms.includes(mechanism));
    }
  });
});
