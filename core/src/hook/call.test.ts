import { expect, test } from 'vitest';
import { describe } from './call.ts';

function thrownIn(stack: string): Error {
  const error = new TypeError('oh\nno');
  error.stack = `TypeError: oh\n${stack}`;
  return error;
}

test('an error is one line of text', () => {
  expect(describe(thrownIn('    at read (node:fs:1:2)'))).toBe('TypeError: oh no');
  expect(describe('gone')).toBe('threw string: gone');
});

test("the line of the operator's own plugin file is told, the first one of the stack", () => {
  const stack =
    '    at parse (node:internal/x:9:9)\n    at check (file:///srv/plugins/my-filter.ts?changed=17.25:5:38)\n    at message (file:///srv/plugins/my-filter.ts?changed=17.25:12:3)';
  expect(describe(thrownIn(stack))).toBe('TypeError: oh no (my-filter.ts:5)');
});

test('what cannot be shown is said to be so', () => {
  const trap = new Error('x');
  Object.defineProperty(trap, 'stack', { get: () => ({ toString: null, valueOf: null }) });
  expect(describe(trap)).toBe('threw object that cannot be shown');
  expect(describe(Object.create(null))).toBe('threw object that cannot be shown');
});
