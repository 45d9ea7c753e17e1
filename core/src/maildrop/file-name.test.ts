import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatMessageName, parseMessageName, uidlOf } from './file-name.ts';

describe('a message file name', () => {
  it.each([
    ['1700000000.M5P6.host,S=120,W=125:2,S', '1700000000.M5P6.host,S=120,W=125', '1700000000.M5P6.host', 120, 125],
    ['1700000000.M5P6.host,W=125,S=120', '1700000000.M5P6.host,W=125,S=120', '1700000000.M5P6.host', 120, 125],
    ['1700000000.M5P6.host:2,RS', '1700000000.M5P6.host', '1700000000.M5P6.host', undefined, undefined],
    ['1700000000.M5P6.host,S=120', '1700000000.M5P6.host,S=120', '1700000000.M5P6.host', 120, undefined],
    ['a,b,S=1,W=2,x', 'a,b,S=1,W=2,x', 'a,b', 1, 2],
    ['a,S=,W=1x,S=-1', 'a,S=,W=1x,S=-1', 'a,S=,W=1x,S=-1', undefined, undefined],
    ['a,S=99999999999999999999', 'a,S=99999999999999999999', 'a,S=99999999999999999999', undefined, undefined],
    ['a:2,S=5', 'a', 'a', undefined, undefined],
    ['plain', 'plain', 'plain', undefined, undefined],
    ['a,S=1,W=2,A=3:2,S', 'a,S=1,W=2,A=3', 'a', 1, 2, 3],
    ['a,A=x,S=1', 'a,A=x,S=1', 'a,A=x', 1, undefined],
  ])('%s', (name, base, unique, fileBytes, wireBytes, surrogateBytes?: number) => {
    expect(parseMessageName(name)).toEqual({ base, unique, fileBytes, wireBytes, surrogateBytes });
  });

  it('is read back as it was written', () => {
    fc.assert(
      fc.property(
        fc.stringMatching(/^[A-Za-z0-9._-]{1,40}$/),
        fc.nat(),
        fc.nat(),
        fc.option(fc.nat(), { nil: undefined }),
        (unique, fileBytes, wireBytes, surrogateBytes) => {
          const name = formatMessageName(unique, fileBytes, wireBytes, surrogateBytes);
          expect(parseMessageName(`${name}:2,S`)).toEqual({ base: name, unique, fileBytes, wireBytes, surrogateBytes });
        },
      ),
    );
  });
});

describe('a UIDL', () => {
  it('is the unique part itself where that is allowed', () => {
    expect(uidlOf('1700000000.M5P6.host')).toBe('1700000000.M5P6.host');
    expect(uidlOf('x'.repeat(70))).toBe('x'.repeat(70));
  });

  it('is always one to 70 characters from ! to ~, and different for different names', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 100 }), fc.string({ maxLength: 100 }), (one, other) => {
        expect(uidlOf(one)).toMatch(/^[\x21-\x7e]{1,70}$/);
        if (one !== other) expect(uidlOf(one)).not.toBe(uidlOf(other));
      }),
    );
  });
});
