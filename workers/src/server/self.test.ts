import { expect, it } from 'vitest';
import { configSchema, type ListenerConfig } from '@posthorn/config';
import { isSelf } from './self.ts';

const on = (port: number): readonly ListenerConfig[] =>
  configSchema.parse({ listeners: [{ name: 'a', protocol: 'smtp', address: `127.0.0.1:${port}` }] }).listeners;

it('knows the ports that are listened on now, after a reload too', () => {
  let listeners = on(2525);
  const asks = isSelf(() => listeners);
  expect([asks('127.0.0.1', 2525), asks('127.0.0.1', 25), asks('192.0.2.1', 2525)]).toEqual([true, false, false]);
  listeners = on(25);
  expect([asks('127.0.0.1', 2525), asks('127.0.0.1', 25)]).toEqual([false, true]);
});
