import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { checkAnswer } from './answer.ts';

const header = (name: unknown, value: unknown) => ({ kind: 'edit', edits: [{ edit: 'add-header', name, value }] });

test.each([
  ['nothing', undefined],
  [
    'a list of results',
    [
      { kind: 'accept', reason: 'r' },
      { kind: 'quarantine', reason: 'r' },
    ],
  ],
  ['a folded header', header('Authentication-Results', 'mx.example.org;\r\n\tspf=pass')],
  ['a header in UTF-8', header('X-Name', 'Zoë')],
  ['an address with a UTF-8 local part', { kind: 'edit', edits: [{ edit: 'add-recipient', address: 'zoë@example.org' }] }],
  [
    'a verdict for one recipient',
    { kind: 'edit', edits: [{ edit: 'reject-recipient', address: 'a@b.c', text: 't', code: 553, enhanced: '5.7.1' }] },
  ],
  ['a code of its own', { kind: 'defer', text: 't', code: 452, enhanced: '4.2.2', cause: 'c' }],
])('%s is an answer', (_, answer) => {
  expect(checkAnswer('message', answer)).toEqual(answer === undefined ? [] : Array.isArray(answer) ? answer : [answer]);
});

test.each([
  ['null', null],
  ['a text', 'accept'],
  ['true', true],
  ['a function', () => undefined],
  ['an unknown kind', { kind: 'discard' }],
  ['weight NaN', { kind: 'evidence', evidence: [{ name: 'A', weight: Number.NaN, reason: '' }] }],
  ['evidence without a reason', { kind: 'evidence', evidence: [{ name: 'A', weight: 1 }] }],
  ['evidence that is no list', { kind: 'evidence', evidence: { name: 'A' } }],
  ['a name with a line end', { kind: 'evidence', evidence: [{ name: 'A\r\nB', weight: 1, reason: '' }] }],
  ['a reject with 250', { kind: 'reject', text: 't', code: 250 }],
  ['a defer with 5.7.1', { kind: 'defer', text: 't', enhanced: '5.7.1' }],
  ['a reject without a text', { kind: 'reject' }],
  ['a header with a second header in it', header('X', 'a\r\nBcc: b@example.org')],
  ['a header with a bare LF', header('X', 'a\nb')],
  ['a header that ends the header section', header('X', 'a\r\n\r\n')],
  ['a folded line of nothing but blanks', header('X', 'a\r\n \r\n b')],
  ['a header name with a colon', header('X: y', 'a')],
  ['a header value that is a number', header('X', 5)],
  [
    'a recipient refused with a code that closes',
    { kind: 'edit', edits: [{ edit: 'defer-recipient', address: 'a@b.c', text: 'x', code: 421 }] },
  ],
  ['a recipient refused without a text', { kind: 'edit', edits: [{ edit: 'reject-recipient', address: 'a@b.c' }] }],
  ['an address without a domain', { kind: 'edit', edits: [{ edit: 'add-recipient', address: 'x' }] }],
  ['an address with a command in it', { kind: 'edit', edits: [{ edit: 'add-recipient', address: 'x@y>\r\nDATA' }] }],
  ['too many results', Array.from({ length: 101 }, () => ({ kind: 'accept', reason: '' }))],
])('%s is nonsense', (_, answer) => {
  expect(checkAnswer('message', answer)).toBeTypeOf('string');
});

test('edits and quarantine are nonsense where they have no meaning', () => {
  expect(checkAnswer('rcpt', header('X', 'a'))).toContain('add-header has no meaning at rcpt');
  expect(checkAnswer('mail', { kind: 'edit', edits: [{ edit: 'add-recipient', address: 'a@b.c' }] })).toContain('no meaning');
  expect(checkAnswer('connect', { kind: 'quarantine', reason: 'x' })).toContain('no meaning');
  expect(checkAnswer('rcpt', { kind: 'edit', edits: [{ edit: 'remove-recipient', address: 'a@b.c' }] })).toHaveLength(1);
});

test("a peer's words become one printable line, whatever is in them", () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 900 }), (text) => {
      expect(checkAnswer('rcpt', { kind: 'reject', text })).toEqual([
        { kind: 'reject', text: expect.stringMatching(/^[\x20-\x7e]{0,400}$/) },
      ]);
    }),
  );
});

test('whatever a plugin answers, it is results that can cross threads or a reason', () => {
  fc.assert(
    fc.property(fc.anything({ withBigInt: true, withNullPrototype: true, withSparseArray: true }), (answer) => {
      const checked = checkAnswer('message', answer);
      if (typeof checked !== 'string') structuredClone(checked);
    }),
    { numRuns: 500 },
  );
});

test('fields the contract does not know are left behind', () => {
  expect(checkAnswer('message', { kind: 'accept', reason: 'r', extra: () => 1 })).toEqual([{ kind: 'accept', reason: 'r' }]);
});
