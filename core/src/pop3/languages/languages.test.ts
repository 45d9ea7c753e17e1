import { describe, expect, it, test } from 'vitest';
import { DEFAULT_LANGUAGE, findLanguage, LANGUAGES } from './languages.ts';
import type { Texts } from './texts.ts';

/** Every text with arguments that make it long, and with one and nought where it counts. */
function said(texts: Texts): string[] {
  const user = 'u'.repeat(200);
  return Object.values(texts).flatMap((text: string | ((...values: never[]) => string)) => {
    if (typeof text === 'string') return [text];
    const say = text as (...values: (string | number)[]) => string;
    return [0, 1, 2, 100_000].flatMap((count) => [
      say(count, count, count),
      say(user, count, 2 ** 50),
      say('SCRAM-SHA-256-PLUS'),
    ]);
  });
}

describe.each(LANGUAGES.map((language) => [language.tag, language] as const))('texts in %s', (_tag, { texts }) => {
  it('are single lines that fit into a reply (RFC 2449 §4)', () => {
    for (const text of said(texts)) {
      expect(text).toMatch(/^[^\p{C}[][^\p{C}]*$/u);
      expect(Buffer.byteLength(`-ERR [LOGIN-DELAY] ${text}\r\n`)).toBeLessThanOrEqual(512);
    }
  });

  it('say how many in words that fit the number', () => {
    for (const count of [0, 1, 2, 5]) expect(texts.goodbyeDeleted(count)).toContain(String(count));
    expect(texts.messages(1)).not.toBe(texts.messages(2).replace('2', '1'));
  });
});

it('the default is ASCII', () => {
  for (const text of said(DEFAULT_LANGUAGE.texts)) expect(text).toMatch(/^[\x20-\x7e]+$/);
});

it('a text that two languages share is one that is the same in both', () => {
  const [, german, french] = LANGUAGES;
  const same = Object.entries(german!.texts).filter(([name, text]) => text === french!.texts[name as keyof Texts]);
  expect(same).toEqual([]);
});

test.each([
  ['de', 'de'],
  ['DE-at', 'de'],
  ['de-Latn-CH-1996', 'de'],
  ['fr-x-loc', 'fr'],
  ['en-a-bbb', 'en'],
  ['I-DEFAULT', 'i-default'],
  ['i-default-x-y', 'i-default'],
  ['i', undefined],
  ['d', undefined],
  ['deu', undefined],
  ['x-de', undefined],
  ['', undefined],
  ['*', undefined],
  ['*-de', undefined],
  ['de-', undefined],
  ['de--at', undefined],
  ['de-abcdefghi', undefined],
  ['de\u0131', undefined],
])('the range %j finds %s', (range, tag) => {
  expect(findLanguage(range)?.tag).toBe(tag);
});
