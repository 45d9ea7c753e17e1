/**
 * Sizes and durations as an operator writes them: `512MiB`, `5m`; a bare number is bytes or milliseconds.
 * Used by the schema for every such key; the way back (`asBytes`, `asDuration`) serves the reference and the defaults.
 */
import { z } from 'zod';

const BYTE_UNITS: Readonly<Record<string, number>> = {
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  KIB: 1024,
  MIB: 1024 ** 2,
  GIB: 1024 ** 3,
};
const TIME_UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

const SIZE = /^\d+(\.\d+)? *([kKmMgG][iI]?)?[bB]$/;
const TIME = /^\d+(\.\d+)? *(ms|s|m|h|d)$/;
const SIZE_EXPECTED = 'expected a size, such as 50MiB or 10 GB';
const TIME_EXPECTED = 'expected a duration, such as 300ms, 5m or 2h';
/** setTimeout takes no longer wait than this, and no knob needs one. */
const LONGEST_MS = 2 ** 31 - 1;

/** Splits `1.5GiB` and multiplies; the text has passed the pattern, so both parts are there. */
function scale(text: string, units: Readonly<Record<string, number>>): number {
  const digits = /^[\d.]+/.exec(text)?.[0] ?? '';
  return Math.round(Number(digits) * (units[text.slice(digits.length).trim()] ?? Number.NaN));
}

/** Bytes: a number, or a text such as `50MiB` or `10 GB`. */
export const bytes = z
  .union([z.int({ error: SIZE_EXPECTED }).min(0, { error: SIZE_EXPECTED }), z.string().regex(SIZE, { error: SIZE_EXPECTED })], {
    error: SIZE_EXPECTED,
  })
  .transform((value) => (typeof value === 'number' ? value : scale(value.toUpperCase(), BYTE_UNITS)))
  .refine((value) => Number.isSafeInteger(value), { error: SIZE_EXPECTED })
  .meta({ unit: 'bytes' });

/** Milliseconds: a number, or a text such as `300ms`, `5m`, `2h`, `5d`. Never zero. */
export const duration = z
  .union([z.int({ error: TIME_EXPECTED }).min(1, { error: TIME_EXPECTED }), z.string().regex(TIME, { error: TIME_EXPECTED })], {
    error: TIME_EXPECTED,
  })
  .transform((value) => (typeof value === 'number' ? value : scale(value, TIME_UNITS)))
  .refine((value) => value >= 1 && value <= LONGEST_MS, { error: 'expected a duration between 1ms and 24d' })
  .meta({ unit: 'duration' });

/** Milliseconds like `duration`, or 0 for none. */
export const pause = z.union([z.literal(0), duration], { error: TIME_EXPECTED }).meta({ unit: 'duration' });

/** At least one duration. */
export const durations = z.array(duration).min(1);

/** @returns `value` in the largest unit that leaves no rest: 52428800 is `50MiB`. */
export function asBytes(value: number): string {
  return largestUnit(value, [
    ['GiB', 1024 ** 3],
    ['MiB', 1024 ** 2],
    ['KiB', 1024],
    ['B', 1],
  ]);
}

/** @returns `valueMs` in the largest unit that leaves no rest: 300000 is `5m`. */
export function asDuration(valueMs: number): string {
  return largestUnit(valueMs, [
    ['d', 86_400_000],
    ['h', 3_600_000],
    ['m', 60_000],
    ['s', 1000],
    ['ms', 1],
  ]);
}

function largestUnit(value: number, units: readonly (readonly [string, number])[]): string {
  for (const [name, factor] of units) if (value >= factor && value % factor === 0) return `${value / factor}${name}`;
  return String(value);
}
