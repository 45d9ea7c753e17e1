import { EventEmitter } from 'node:events';
import { expect, test } from 'vitest';
import { onSignals } from './signals.ts';

function rig() {
  const source = new EventEmitter();
  const calls: string[] = [];
  const state = { nowMs: 0, terminalGone: false };
  const forget = onSignals(
    {
      drain: () => void calls.push('drain'),
      endAtOnce: () => void calls.push('at once'),
      reload: () => void calls.push('reload'),
    },
    { source, monotonic: () => state.nowMs, terminalGone: () => state.terminalGone },
  );
  const send = (signal: string, afterMs = 0) => {
    state.nowMs += afterMs;
    source.emit(signal);
    return calls.splice(0);
  };
  return { send, state, source, forget };
}

test.each(['SIGTERM', 'SIGINT'])('%s drains, a second one ends at once', (signal) => {
  const { send } = rig();
  expect(send(signal)).toEqual(['drain']);
  expect(send(signal, 2000)).toEqual(['at once']);
});

test('a stop that reaches us twice, by the group and passed on by npm, is one stop', () => {
  const { send } = rig();
  expect(send('SIGTERM')).toEqual(['drain']);
  expect(send('SIGTERM', 3)).toEqual([]);
  expect(send('SIGTERM', 20)).toEqual([]);
  expect(send('SIGINT', 1000)).toEqual(['at once']);
});

test('each SIGHUP reloads, also the second of two that come close together: the file may have changed between them', () => {
  const { send } = rig();
  expect(send('SIGHUP')).toEqual(['reload']);
  expect(send('SIGHUP', 5)).toEqual(['reload']);
});

test('SIGHUP of a terminal that was closed drains, and never ends at once', () => {
  const { send, state } = rig();
  state.terminalGone = true;
  expect(send('SIGHUP')).toEqual(['drain']);
  expect(send('SIGHUP', 2000)).toEqual([]);
});

test('nothing is heard any more once the handlers are taken away', () => {
  const { send, source, forget } = rig();
  forget();
  expect(send('SIGTERM')).toEqual([]);
  expect(source.eventNames()).toEqual([]);
});
