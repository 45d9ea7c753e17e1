import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { readAddressList } from './header-addresses.ts';

const read = (value: string): string[] | undefined => readAddressList(value)?.map(({ text }) => text);

describe('readAddressList', () => {
  test.each([
    ['alice@example.org', ['alice@example.org']],
    ['  <alice@EXAMPLE.org>  ', ['alice@example.org']],
    ['Alice Smith <alice@example.org>, bob@example.org', ['alice@example.org', 'bob@example.org']],
    ['"bob@evil.example" <alice@example.org>', ['alice@example.org']],
    ['bob@evil.example <alice@example.org>', ['alice@example.org']],
    ['"a\\"b, <x@y.example>" <alice@example.org>', ['alice@example.org']],
    ['(x (y) \\) @) alice@example.org (bob@evil.example)', ['alice@example.org']],
    ['=?utf-8?Q?A=2C_B?= <alice@example.org>', ['alice@example.org']],
    ['Jörg Müller <jörg@straße.example>', ['jörg@xn--strae-oqa.example']],
    [
      'Team: alice@example.org, "B" <bob@example.org>;, carol@example.org',
      ['alice@example.org', 'bob@example.org', 'carol@example.org'],
    ],
    ['Undisclosed recipients:;', []],
    ['', []],
    [', ,alice@example.org, ,', ['alice@example.org']],
    ['"bob@evil.example": alice@example.org;', ['alice@example.org']],
    ['"alice"@example.org', ['alice@example.org']],
    ['"a b"@example.org', ['"a b"@example.org']],
    ['alice @ example . org', ['alice@example.org']],
    ['alice(x)@(y)example.org', ['alice@example.org']],
    ['alice@[192.0.2.1]', ['alice@[192.0.2.1]']],
    ['Mr. X. <alice@example.org>', ['alice@example.org']],
  ])('%s', (value, addresses) => expect(read(value)).toEqual(addresses));

  test.each([
    'alice',
    '<alice>',
    '<@relay.example,@b.example:alice@example.org>',
    '<@evil.example:alice@example.org>',
    'bob@evil.example: alice@example.org;',
    'B @evil.example: alice@example.org;',
    '<>',
    'alice@example.org bob@example.org',
    'alice bob@example.org',
    '<alice@example.org> <bob@example.org>',
    '<alice@example.org> bob',
    'A <alice@example.org',
    'A <B <alice@example.org>',
    'alice@example.org>',
    '"alice@example.org',
    '(alice@example.org',
    'alice@example.org)',
    'Team: alice@example.org',
    'A: B: alice@example.org;',
    ': alice@example.org;',
    'alice@example.org; bob@example.org',
    'Team: alice@example.org; bob@example.org',
    'alice\\@example.org',
    'alice@example.org\0',
    'alice@b@example.org',
  ])('not %s', (value) => expect(read(value)).toBeUndefined());

  it('finds the addresses whatever display name, comment and fold stand around them', () => {
    const quoted = fc.string({ maxLength: 20 }).map((text) => `"${text.replace(/["\\]/g, '\\$&')}"`);
    const comment = fc.string({ maxLength: 20 }).map((text) => `(${text.replace(/[()\\]/g, '\\$&')})`);
    const name = fc.oneof(quoted, comment, fc.constantFrom('', 'Alice', 'A. B.', '=?utf-8?Q?=40?=', 'x@y.example', ' \r\n\t'));
    const mailbox = fc.constantFrom('alice@example.org', '"a b"@example.org', 'b@[192.0.2.1]');
    fc.assert(
      fc.property(fc.array(fc.tuple(name, mailbox, comment), { maxLength: 5 }), (list) => {
        const value = list.map(([before, address, after]) => `${before} <${address}> ${after}`).join(',\r\n ');
        expect(read(value)).toEqual(list.map(([, address]) => address));
      }),
    );
  });

  it('never throws, and takes no longer for brackets than for words', () => {
    fc.assert(fc.property(fc.string({ maxLength: 60 }), (value) => void readAddressList(value)));
    const odd = fc.array(fc.constantFrom('(', ')', '<', '>', '"', '\\', ',', ';', ':', '@', '.', '[', ']', ' ', 'a', 'é'));
    fc.assert(fc.property(odd, (parts) => void readAddressList(parts.join(''))));
    const began = performance.now();
    for (const one of ['(', '<', '"', 'a ', 'a@', ',', '[', '\\', ' ', 'a@b.example,'])
      readAddressList(one.repeat(250_000 / one.length));
    expect(performance.now() - began).toBeLessThan(5000);
  });
});
