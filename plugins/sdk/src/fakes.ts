/**
 * What a plugin's context is made of in a test: names from a list in place of DNS, a clock that can be put forward, a log
 * that is kept. Used by the test kit (testing.ts); nothing here asks anybody.
 */
import type { Clock } from '@posthorn/core/mail/clock';
import { type Dns, DnsError } from '@posthorn/core/mail/dns';
import type { Log, LogFields } from '@posthorn/core/observe/log';

/**
 * Names and what they resolve to: `{ 'example.org TXT': [['v=spf1 -all']] }`; a text such as `ESERVFAIL` or `ETIMEOUT` is a
 * temporary error with that code. Upper and lower case of a name are the same; anything else is not found.
 */
export type Names = Readonly<Record<string, readonly unknown[] | string>>;

/** DNS with these names in it and no others. */
export function testDns(names: Names): Dns {
  const records = new Map(Object.entries(names).map(([key, answer]) => [keyOf(key), answer]));
  const known = [...records.keys()].map((key) => key.slice(0, key.lastIndexOf(' ')));
  const resolve = async (asked: string, type: string): Promise<unknown[]> => {
    const name = asked.toLowerCase().replace(/\.$/, '');
    // As c-ares: a label of more than 63 characters, or none, is no name.
    if (name.split('.').some((label) => label.length > 63 || label === '')) throw new DnsError('notfound', 'EBADNAME', name);
    const found = records.get(`${name} ${type}`);
    if (typeof found === 'string') throw new DnsError('temporary', found, `${type} ${name}: ${found}`);
    if (found !== undefined && found.length > 0) return [...found];
    const code = known.some((other) => other === name || other.endsWith(`.${name}`)) ? 'ENODATA' : 'ENOTFOUND';
    throw new DnsError('notfound', code, `${type} ${name}: ${code}`);
  };
  return {
    resolve,
    mx: (name) => resolve(name, 'MX') as ReturnType<Dns['mx']>,
    a: (name) => resolve(name, 'A') as ReturnType<Dns['a']>,
    aaaa: (name) => resolve(name, 'AAAA') as ReturnType<Dns['aaaa']>,
    txt: (name) => resolve(name, 'TXT') as ReturnType<Dns['txt']>,
    // Addresses have no labels to check.
    ptr: (address) => answerTo(records.get(`${address.toLowerCase()} PTR`), address) as ReturnType<Dns['ptr']>,
  };
}

/** `Example.org txt` as `example.org TXT`. A name may hold blanks, a type does not. */
function keyOf(key: string): string {
  const at = key.lastIndexOf(' ');
  return key.slice(0, at).toLowerCase() + key.slice(at).toUpperCase();
}

async function answerTo(found: readonly unknown[] | string | undefined, address: string): Promise<unknown[]> {
  if (typeof found === 'string') throw new DnsError('temporary', found, `PTR ${address}: ${found}`);
  if (found === undefined || found.length === 0) throw new DnsError('notfound', 'ENOTFOUND', `PTR ${address}: ENOTFOUND`);
  return [...found];
}

export interface TestClock extends Clock {
  /** Puts `now` and `monotonic` forward. */
  advance(ms: number): void;
}

/** @param nowMs where `now` stands still until it is put forward; undefined: it is the time. Timers run in real time. */
export function testClock(nowMs?: number): TestClock {
  let aheadMs = 0;
  return {
    now: () => (nowMs ?? Date.now()) + aheadMs,
    monotonic: () => performance.now() + aheadMs,
    after(delayMs, then) {
      const timer = setTimeout(then, delayMs);
      return () => clearTimeout(timer);
    },
    advance: (ms) => void (aheadMs += ms),
  };
}

export interface LogLine {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly event: string;
  readonly fields: LogFields;
}

/** A log that adds to `lines`. */
export function testLog(lines: LogLine[], base: LogFields = {}): Log {
  const at = (level: LogLine['level']) => (event: string, fields?: LogFields) =>
    void lines.push({ level, event, fields: { ...base, ...fields } });
  return {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    with: (fields) => testLog(lines, { ...base, ...fields }),
  };
}
