import { mkdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { errorText } from './error-text.ts';

function thrownBy(action: () => unknown): unknown {
  try {
    action();
  } catch (error) {
    return error;
  }
  return expect.unreachable('it did not throw');
}

test('an error of the system says what could not be done, where and why', () => {
  expect(errorText(thrownBy(() => readFileSync('/nowhere/x')))).toBe('/nowhere/x: cannot be opened: no such file or directory');
  expect(errorText(thrownBy(() => mkdirSync('/dev/null/x')))).toBe('/dev/null/x: cannot be made: not a directory');
});

test('an error for the operator is its message', () => {
  expect(errorText(new Error('there is no plugin named bays'))).toBe('there is no plugin named bays');
  expect(errorText('gone')).toBe('gone');
});

test('a slip in the code shows its stack', () => {
  const text = errorText(thrownBy(() => (undefined as unknown as string).length));
  expect(text).toContain('TypeError: Cannot read properties of undefined');
  expect(text).toContain('error-text.test.ts:');
});
