import { expect, it } from 'vitest';
import type { Clock } from '../../mail/clock.ts';
import { TlsSessions } from './tls-sessions.ts';

const HOST = { host: 'mx.y.test', address: '192.0.2.1', port: 25 };
let nowMs = 0;
const clock: Clock = { now: () => nowMs, monotonic: () => nowMs, after: () => () => undefined };
const session = (text: string, bytes = 10) => ({ ticket: Buffer.alloc(bytes, text), doubt: undefined, provenAtMs: nowMs });

it('knows a session by host, address and port, and by whether the name had to be proven', () => {
  const any = TlsSessions.key(HOST, { verify: false });
  const keys = [
    TlsSessions.key(HOST, { verify: true }),
    TlsSessions.key({ ...HOST, host: 'mx.z.test' }, { verify: false }),
    TlsSessions.key({ ...HOST, address: '192.0.2.2' }, { verify: false }),
    TlsSessions.key({ ...HOST, port: 465 }, { verify: false }),
  ];
  expect(new Set([any, ...keys]).size).toBe(5);
});

it('gives out the latest, until it is forgotten', () => {
  const sessions = new TlsSessions(clock);
  const latest = session('b');
  sessions.keep('host', session('a'));
  sessions.keep('host', latest);
  expect([sessions.find('host'), sessions.find('host')]).toEqual([latest, latest]);
  sessions.forget('host');
  expect(sessions.find('host')).toBeUndefined();
});

it('forgets what is an hour old, what is too large, and the hosts of longest ago', () => {
  const sessions = new TlsSessions(clock);
  sessions.keep('old', session('o'));
  nowMs += 3_599_999;
  expect(sessions.find('old')).toBeDefined();
  nowMs += 1;
  expect(sessions.find('old')).toBeUndefined();
  sessions.keep('large', session('l', 8193));
  expect(sessions.find('large')).toBeUndefined();
  for (let host = 0; host < 1001; host++) sessions.keep(`host ${host}`, session('h'));
  expect(sessions.find('host 0')).toBeUndefined();
  expect(sessions.find('host 1')).toBeDefined();
});
