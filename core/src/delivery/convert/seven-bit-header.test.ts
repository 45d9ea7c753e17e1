/** Headers in UTF-8 for hosts that take ASCII: names of attachments, list names and addresses went, or became others. */
import { isAscii } from 'node:buffer';
import { describe, expect, it, test } from 'vitest';
import { sevenBitHeader } from './seven-bit-header.ts';

const header = (...lines: string[]): Buffer => Buffer.from(lines.map((line) => `${line}\r\n`).join(''));
const word = (text: string): string => `=?UTF-8?B?${Buffer.from(text).toString('base64')}?=`;

function inAscii(...lines: string[]): string[] | string {
  const made = sevenBitHeader(header(...lines));
  return typeof made === 'string' ? made : made.toString('latin1').split('\r\n').slice(0, -1);
}

test.each([
  ['text becomes encoded words', 'Subject: Grüße', [`Subject: ${word('Grüße')}`]],
  [
    'the name of an attachment stays one',
    'Content-Type: application/pdf; name="Rechnung März.pdf"',
    ['Content-Type: application/pdf;', " name*=UTF-8''Rechnung%20M%C3%A4rz.pdf"],
  ],
  [
    'its file name as well, quoted or not',
    'Content-Disposition: attachment; size=5; filename=März(1)\\"\'.pdf',
    ['Content-Disposition: attachment;', ' size=5;', ` filename*=UTF-8''M%C3%A4rz%5C%22%27.pdf`],
  ],
  [
    'an escaped one is what it says',
    'Content-Disposition: attachment; filename="a \\"ü\\" (*).pdf"',
    ['Content-Disposition: attachment;', " filename*=UTF-8''a%20%22%C3%BC%22%20%28%2A%29.pdf"],
  ],
  [
    'a long one has several lines, between characters',
    `Content-Disposition: attachment; filename="${'ü'.repeat(25)}"`,
    [
      'Content-Disposition: attachment;',
      ` filename*0*=UTF-8''${'%C3%BC'.repeat(10)};`,
      ` filename*1*=${'%C3%BC'.repeat(10)};`,
      ` filename*2*=${'%C3%BC'.repeat(5)}`,
    ],
  ],
  [
    'one that is said both ways is said once',
    `Content-Disposition: attachment; filename="ü.pdf"; filename*=UTF-8''%C3%BC.pdf`,
    ['Content-Disposition: attachment;', " filename*=UTF-8''%C3%BC.pdf"],
  ],
  [
    'one that is half in RFC 2231 becomes it whole',
    `Content-Disposition: attachment; filename*=UTF-8''ü%20x; name*0="ü"; name*1=y`,
    ['Content-Disposition: attachment;', " filename*=UTF-8''%C3%BC%20x;", " name*0*=UTF-8''%C3%BC;", ' name*1=y'],
  ],
  ['a list keeps its name', 'List-Id: Größe <list.x.test>', [`List-Id: ${word('Größe')} <list.x.test>`]],
  ['and its id', 'List-Id: <größe.x.test>', ['List-Id: <xn--gre-6ka8i.x.test>']],
  [
    'a URL has its octets in hexadecimal',
    'List-Unsubscribe: <https://x.test/ü?a=%20>, <mailto:l@x.test> (schön)',
    [`List-Unsubscribe: <https://x.test/%C3%BC?a=%20>, <mailto:l@x.test> (${word('schön')})`],
  ],
  ['comments may be encoded words', 'Date: now (schön)', [`Date: now (${word('schön')})`]],
  ['no line of the trace goes', 'Received: from schön\r\n by b', ['Received: from sch?n', ' by b']],
  ['names of people', 'To: "Jü, x" <j@x.test>, b@x.test', [`To: ${word('Jü, x')} <j@x.test>,`, ' b@x.test']],
  ['also in comments', 'From: j@x.test (Jü)', [`From: j@x.test (${word('Jü')})`]],
  ['a domain is the same in A-labels', 'To: Jü <j@bücher.test>', [`To: ${word('Jü')} <j@xn--bcher-kva.test>`]],
  [
    'other addresses are left alone',
    'To: Jü <J@[192.0.2.1]>, Kö <root>',
    [`To: ${word('Jü')} <J@[192.0.2.1]>,`, ` ${word('Kö')} <root>`],
  ],
  ['what is no address is text', 'From: Jürgen', [`From: ${word('Jürgen')}`]],
  ['a group', 'To: Köln: jü@bücher.test;', 'an address'],
  ['a group of others', 'To: Köln: b@x.test;', [`To: ${word('Köln')}: b@x.test;`]],
])('%s', (_what, line, expected) => {
  if (typeof expected === 'string') expect(inAscii(line)).toContain(expected);
  else expect(inAscii('A: 1', line, 'Z: 2')).toEqual(['A: 1', ...expected, 'Z: 2']);
});

describe('there is no form', () => {
  it.each(['To: a@x.test, é@x.test', 'From: X <é@x.test>', 'Reply-To: "é"@x.test', 'Cc: a@x\u{2028}.test'])(
    'for an address like that in %s: nobody else is written there',
    (line) => {
      expect(inAscii(line)).toBe('554 5.6.3 header has an address beyond ASCII, and the mail host takes none');
    },
  );

  it('for what is not UTF-8', () => {
    expect(sevenBitHeader(Buffer.from('Subject: J\xfcrgen\r\n', 'latin1'))).toMatch(/^554 5\.6\.3 .* unknown charset/);
  });
});

it('drops nothing for being long', () => {
  const many = Array.from({ length: 5_000 }, (_, index) => `Jü <u${index}@x.test>`).join(', ');
  expect(inAscii(`To: ${many}`)).toHaveLength(5_000);
});

it('gives ASCII with whole lines whatever the header is', () => {
  const bits = ['ü', '<', '>', '"', '\\', '(', ')', ',', ':', ';', '@', '=', '*', '%', 'a', '0', ' ', '\r\n ', '\r\n'];
  const names = ['To: ', 'Subject:', 'Content-Type: ', 'List-Id:', 'List-Post:', 'Received:', 'Content-Location:', 'Date:'];
  let state = 7;
  const next = (below: number): number => (state = (state * 48_271) % 0x7fffffff) % below;
  const some = (from: readonly string[]): string => from[next(from.length)]!;
  for (let round = 0; round < 20_000; round += 1) {
    const text = Array.from({ length: 1 + next(25) }, () => some(bits)).join('');
    const made = sevenBitHeader(header(`${some(names)}a=ü${text}`.replaceAll(/(?:\r\n ?)+(?=\r\n|$)/g, '')));
    if (typeof made === 'string') continue;
    expect(isAscii(made)).toBe(true);
    expect(/(?<!\r)\n|\r(?!\n)|\r\n\r\n|[^\n]$/.test(made.toString('latin1'))).toBe(false);
  }
});
