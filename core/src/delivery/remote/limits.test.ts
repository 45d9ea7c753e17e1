import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { readLimits, splitByLimits } from './limits.ts';

it('reads the limits it knows, and no others', () => {
  expect(readLimits(['MAILMAX=5', 'RCPTMAX=100', 'RCPTDOMAINMAX=1'])).toEqual({ mailMax: 5, rcptMax: 100, rcptDomainMax: 1 });
  expect(readLimits(['RCPTMAX=0', 'MAILMAX=1234567', 'RCPTDOMAINMAX=-1', 'RCPTMAX', 'CONSTRUCTOR=1', 'RCPTMAX=1E3'])).toEqual({});
});

it('believes none where one is not written as a limit is (RFC 9422 §3, §3.7)', () => {
  for (const bad of ['RCPTMAX=5;', '=5', 'RCPT.MAX=5', 'MAILMAX=', 'MÄXE=1']) expect(readLimits(['RCPTMAX=5', bad])).toEqual({});
  expect(readLimits(['RCPTMAX=5', 'SOME_NEW-ONE=a/b=c', 'FLAG', 'MAILMAX=007'])).toEqual({ rcptMax: 5 });
});

it('leaves recipients together where nothing speaks against it', () => {
  expect(splitByLimits(['a@x.test', 'b@y.test'], {})).toBeUndefined();
  expect(splitByLimits(['a@x.test', 'b@X.test'], { rcptMax: 2, rcptDomainMax: 1 })).toBeUndefined();
});

it('makes as few transactions of a domain as can be', () => {
  expect(splitByLimits(['a@x.test', 'b@y.test', 'c@x.test'], { rcptDomainMax: 1 })).toEqual([[0, 2], [1]]);
  expect(splitByLimits(['a@x.test', 'b@y.test', 'c@x.test'], { rcptMax: 2 })).toEqual([[0, 2], [1]]);
});

it('keeps both limits, and every recipient once, whatever they are', () => {
  const address = fc.tuple(fc.nat(5), fc.nat(5)).map(([user, domain]) => `u${user}@d${domain}.test`);
  const limit = fc.option(fc.integer({ min: 1, max: 4 }), { nil: undefined });
  fc.assert(
    fc.property(fc.array(address, { minLength: 1, maxLength: 30 }), limit, limit, (recipients, rcptMax, rcptDomainMax) => {
      const parts = splitByLimits(recipients, {
        ...(rcptMax === undefined ? {} : { rcptMax }),
        ...(rcptDomainMax === undefined ? {} : { rcptDomainMax }),
      }) ?? [[...recipients.keys()]];
      expect(parts.flat().toSorted((a, b) => a - b)).toEqual([...recipients.keys()]);
      for (const part of parts) {
        expect(part.length).toBeGreaterThan(0);
        expect(part.length).toBeLessThanOrEqual(rcptMax ?? Infinity);
        const domains = new Set(part.map((index) => recipients[index]!.split('@')[1]));
        expect(domains.size).toBeLessThanOrEqual(rcptDomainMax ?? Infinity);
      }
    }),
  );
});
