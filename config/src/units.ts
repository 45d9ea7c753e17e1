/** Sizes and durations as an operator writes them: `512MiB`, `5m`; numbers are bytes or milliseconds. */
import { z } from 'zod';

const BYTE_UNITS: Record<string, number> = { B: 1, KB: 1e3, MB: 1e6, GB: 1e9, KIB: 1024, MIB: 1024 ** 2, GIB: 1024 ** 3 };
const TIME_UNITS: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

function parseWith(units: Record<string, number>, text: string, fold: (unit: string) => string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)\s*([A-Za-z]+)$/.exec(text.trim());
  const factor = match === null ? undefined : units[fold(match[2]!)];
  return factor === undefined ? undefined : Math.round(Number(match![1]) * factor);
}

function unit(units: Record<string, number>, fold: (unit: string) => string, expected: string) {
  return z.union([z.int().min(0), z.string().regex(/^\d/)]).transform((value, context) => {
    if (typeof value === 'number') return value;
    const parsed = parseWith(units, value, fold);
    if (parsed === undefined) {
      context.addIssue({ code: 'custom', message: expected });
      return z.NEVER;
    }
    return parsed;
  });
}

/** Bytes: a number, or a text such as `50MiB` or `10 GB`. */
export const bytes = unit(BYTE_UNITS, (name) => name.toUpperCase(), 'expected a size, such as 50MiB');
/** Milliseconds: a number, or a text such as `300ms`, `5m`, `2h`, `5d`. */
export const duration = unit(TIME_UNITS, (name) => name, 'expected a duration, such as 5m or 2h');
/** At least one duration. */
export const durations = z.array(duration).min(1);
