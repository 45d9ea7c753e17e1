import { expect, it } from 'vitest';
import { formatScramKeys, makeScramKeys, parseScramKeys, SCRAM_ITERATIONS } from './scram-keys.ts';

it('keys are written and read in one form, and hold no password', async () => {
  const keys = await makeScramKeys('pencil', Buffer.from('W22ZaJ0SNY7soEsUEjb6gQ==', 'base64'), 4096);
  const text = formatScramKeys(keys);
  expect(text).toBe(
    'SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=',
  );
  expect(parseScramKeys(text)).toEqual(keys);
  const fresh = await makeScramKeys('pencil');
  expect(fresh.iterations).toBe(SCRAM_ITERATIONS);
  expect(fresh.salt).not.toEqual((await makeScramKeys('pencil')).salt);
});

it.each(['', 'SCRAM-SHA-1$4096:c2FsdHNhbHQ=$x:y', 'SCRAM-SHA-256$4096:c2FsdHNhbHQ=', 'secret'])('%j is none', (text) => {
  expect(parseScramKeys(text)).toBeUndefined();
});
