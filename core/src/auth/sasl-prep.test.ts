import { expect, it } from 'vitest';
import { isProhibited, saslPrepared } from './sasl-prep.ts';

it('passwords that look the same are the same', () => {
  expect(saslPrepared('a\u00a0b\u00ad\u2168')).toBe('a bIX');
  expect(saslPrepared('cafe\u0301')).toBe(saslPrepared('caf\u00e9'));
  expect(saslPrepared('A b')).toBe('A b');
});

it.each(['tab\t', 'private \ue000', 'turned \u202e', 'nothing \ufffe', 'tag \u{e0041}'])(
  '%j may stand in nobody’s name',
  (text) => {
    expect(isProhibited(saslPrepared(text))).toBe(true);
    expect(isProhibited(saslPrepared('Jürgen Ⅸ \u00a0 пароль 密码'))).toBe(false);
  },
);
