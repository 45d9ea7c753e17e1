import { isAscii } from 'node:buffer';
import { expect, it, test } from 'vitest';
import { asciiHeader, endOfHeader } from './ascii-header.ts';

const header = (...lines: string[]) => Buffer.from(lines.map((line) => `${line}\r\n`).join(''));
const inAscii = (...lines: string[]) =>
  asciiHeader(header(...lines))
    ?.toString('latin1')
    .split('\r\n')
    .slice(0, -1);
const word = (text: string) => `=?UTF-8?B?${Buffer.from(text).toString('base64')}?=`;

it('leaves ASCII alone, and what is not UTF-8', () => {
  expect(inAscii('Subject: plain', 'From: =?UTF-8?Q?J=C3=BCrgen?= <j@a.test>')).toBeUndefined();
  expect(asciiHeader(Buffer.from('Subject: J\xfcrgen\r\n', 'latin1'))).toBeUndefined();
  expect(asciiHeader(Buffer.alloc(0))).toBeUndefined();
});

test.each([
  ['a subject becomes encoded words', 'Subject: Grüße', [`Subject: ${word('Grüße')}`]],
  ['so does a field that nobody knows', 'X-Mood:schön', [`X-Mood: ${word('schön')}`]],
  ['a folded one is one text', 'Subject: Grüße\r\n\taus Köln', [`Subject: ${word('Grüße\taus Köln')}`]],
  ['a display name too, quoted or not', 'From: "Jürgen \\"J\\" M" <j@a.test>', [`From: ${word('Jürgen "J" M')} <j@a.test>`]],
  [
    'the others of a list stay',
    'To: a@a.test, Jürgen <j@a.test>, "x, y" <b@b.test>',
    ['To: a@a.test,', ` ${word('Jürgen')} <j@a.test>,`, ' "x, y" <b@b.test>'],
  ],
  [
    'a domain has a form in ASCII',
    'Cc: jane@bücher.test, <b@bücher.test>',
    ['Cc: jane@xn--bcher-kva.test,', ' b@xn--bcher-kva.test'],
  ],
  [
    'a local part has none: nobody is written there',
    'To: Jü <jürgen@a.test>',
    [`To: ${word('Jü')} <invalid@internationalized-address.invalid>`],
  ],
  [
    'and the address is the name where there is no other',
    'To: jürgen@a.test',
    [`To: ${word('jürgen@a.test')} <invalid@internationalized-address.invalid>`],
  ],
  [
    'a group',
    'To: Köln: jü@a.test, b@b.test;, c@c.test',
    [`To: ${word('Köln')}: ${word('jü@a.test')} <invalid@internationalized-address.invalid>,`, ' b@b.test;,', ' c@c.test'],
  ],
  ['a comment goes', 'To: a@a.test (Jürgen)', ['To: a@a.test']],
  [
    'parameters that are not ASCII go',
    'Content-Type: text/plain; charset=utf-8; name="schön;.txt"',
    ['Content-Type: text/plain;', ' charset=utf-8'],
  ],
  ['structured fields go', 'Received: from a by b for <jürgen@a.test>; now', []],
  ['and so does what is no field', 'schön', []],
])('%s', (_what, line, expected) => {
  expect(inAscii('A: 1', line, 'Z: 2')).toEqual(['A: 1', ...expected, 'Z: 2']);
});

it('signatures stay', () => {
  const signature = 'DKIM-Signature: v=1; a=rsa-sha256; d=a.test; h=subject; bh=; b=';
  expect(inAscii(signature, 'Subject: Grüße')).toEqual([signature, `Subject: ${word('Grüße')}`]);
});

it('cuts long texts into words of at most 75 characters, between characters', () => {
  const text = 'ä€😀'.repeat(40);
  const lines = inAscii(`Subject: ${text}`)!;
  const words = lines.map((line) => line.replace('Subject: ', '').trim());
  expect(Math.max(...words.map((one) => one.length))).toBeLessThanOrEqual(75);
  const decoded = words.map((one) => Buffer.from(one.slice(10, -2), 'base64').toString());
  expect(decoded.join('')).toBe(text);
  expect(decoded.join('')).not.toContain('\ufffd');
});

it('gives ASCII with whole lines whatever the header is', () => {
  const bits = [
    'ü',
    '<',
    '>',
    '"',
    '\\',
    '(',
    ')',
    ',',
    ':',
    ';',
    '@',
    'a',
    ' ',
    '\r\n ',
    '\r\n',
    'To: ',
    'Subject:',
    'Content-Type: ',
  ];
  let state = 7;
  const next = (below: number) => (state = (state * 48_271) % 0x7fffffff) % below;
  for (let round = 0; round < 20_000; round += 1) {
    const text = Array.from({ length: 1 + next(25) }, () => bits[next(bits.length)]).join('');
    const bytes = header(`From: ü${text}`);
    const whole = bytes.subarray(0, endOfHeader(bytes));
    const made = asciiHeader(whole)!;
    expect(isAscii(made)).toBe(true);
    expect(/(?<!\r)\n|\r(?!\n)|\r\n\r\n|[^\n]$/.test(made.toString('latin1'))).toBe(false);
  }
});

it('writes no more than so much anew: what is over it goes, and the rest stays', () => {
  const lines = inAscii('Subject: ü', `To: ${'ü@a.test,'.repeat(50_000)}`, 'X-Long: ü', 'Z: 2')!;
  expect(lines).toEqual([`Subject: ${word('ü')}`, 'Z: 2']);
});
