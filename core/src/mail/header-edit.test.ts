import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { editHeader, headerLine, type HeaderEdit } from './header-edit.ts';
import { countFields, scanHeader, unfoldedValue } from './header-scan.ts';

/** The message as it would be stored. */
function apply(message: string, edits: readonly HeaderEdit[]): string {
  const bytes = Buffer.from(message, 'latin1');
  const { prepend, cuts } = editHeader(bytes, edits);
  let text = prepend;
  let from = 0;
  for (const cut of cuts) {
    expect(cut.from).toBeGreaterThanOrEqual(from);
    expect(cut.to).toBeGreaterThan(cut.from);
    text += bytes.toString('latin1', from, cut.from);
    from = cut.to;
  }
  return text + bytes.toString('latin1', from);
}

const MESSAGE = 'A: 1\r\nB: 2\r\n  folded\r\nb : 3\r\nC: 4\r\n\r\nB: body\r\n';

describe('editHeader', () => {
  it('removes every field of a name, in any case, with its folded lines, and leaves the body alone', () => {
    expect(apply(MESSAGE, [{ edit: 'remove-header', name: 'b' }])).toBe('A: 1\r\nC: 4\r\n\r\nB: body\r\n');
  });

  it('removes only fields whose unfolded value matches', () => {
    expect(apply(MESSAGE, [{ edit: 'remove-header', name: 'B', matching: '2  FOLDED' }])).toBe(
      'A: 1\r\nb : 3\r\nC: 4\r\n\r\nB: body\r\n',
    );
  });

  it('applies edits in order: what an earlier one added a later one can remove', () => {
    const edits: HeaderEdit[] = [
      { edit: 'add-header', name: 'X', value: 'one' },
      { edit: 'add-header', name: 'Y', value: 'two' },
      { edit: 'remove-header', name: 'x' },
      { edit: 'replace-header', name: 'Y', value: 'three' },
    ];
    expect(apply('A: 1\r\n\r\n', edits)).toBe('Y: three\r\nA: 1\r\n\r\n');
  });

  it('refuses a name that is none, and applies the rest', () => {
    const bad = { edit: 'add-header', name: 'Evil: x\r\nB', value: '' } as const;
    const result = editHeader(Buffer.from('A: 1\r\n'), [bad, { edit: 'remove-header', name: 'A' }]);
    expect(result).toEqual({
      prepend: '',
      cuts: [{ from: 0, to: 6 }],
      refused: [{ edit: bad, reason: 'not a header field name' }],
    });
  });

  it('never lets a value begin a field, end the header or make a line too long', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 3000 }), fc.boolean(), (value, lines) => {
        const text = headerLine({ name: 'X', value: lines ? value.replaceAll('a', '\r\n') : value });
        expect(text.endsWith('\r\n')).toBe(true);
        const bytes = Buffer.from(text, 'utf8');
        expect(scanHeader(bytes)).toMatchObject([{ name: 'x', from: 0, to: bytes.length }]);
        for (const line of text.slice(0, -2).split('\r\n')) {
          expect(line).not.toMatch(/[\r\n\0]/);
          expect(line.trim()).not.toBe('');
          expect(Buffer.byteLength(line)).toBeLessThanOrEqual(998);
        }
      }),
    );
  });
});

describe('scanHeader', () => {
  it('passes over lines that are no fields, and stops at the empty line', () => {
    const header = Buffer.from('From a@b Mon Jan 1\r\nA: 1\r\njunk\r\n still junk\r\n: x\r\nB:\r\n\t2\r\n\r\nC: 3\r\n');
    expect(scanHeader(header).map((field) => [field.name, unfoldedValue(header, field)])).toEqual([
      ['a', '1'],
      ['b', '2'],
    ]);
  });

  it('takes a header that ends anywhere', () => {
    for (const text of ['', 'A', 'A:', 'A: 1', 'A: 1\r', 'A: 1\r\n', 'A: 1\r\n '])
      expect(() => scanHeader(Buffer.from(text))).not.toThrow();
    expect(scanHeader(Buffer.from('\r\nA: 1\r\n'))).toEqual([]);
  });
});

describe('countFields', () => {
  it('counts as scanHeader finds', () => {
    const parts = fc.constantFrom(
      'Received: a\r\n',
      'RECEIVED :b\r\n',
      'X-Received: c\r\n',
      'Receive: d\r\n',
      ' folded\r\n',
      'Received\r\n',
      '\r\n',
    );
    fc.assert(
      fc.property(fc.array(parts, { maxLength: 12 }), (lines) => {
        const header = Buffer.from(lines.join(''));
        expect(countFields(header, 'received')).toBe(scanHeader(header).filter((field) => field.name === 'received').length);
      }),
    );
  });
});
