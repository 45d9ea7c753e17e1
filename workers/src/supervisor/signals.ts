/**
 * Signals to the supervisor as calls: SIGTERM and Ctrl-C drain, a second one ends at once, SIGHUP reloads. Called by
 * serve.ts; says nothing itself and throws nothing.
 * One stop often comes as several signals: a service manager tells the whole group, and npm passes on what it got too.
 * And one SIGHUP has two meanings: it is also what a program gets whose terminal was closed.
 */
import { writeSync } from 'node:fs';

export interface SignalActions {
  drain(): void;
  endAtOnce(): void;
  reload(): void;
}

export interface SignalSource {
  on(signal: NodeJS.Signals, heard: () => void): unknown;
  off(signal: NodeJS.Signals, heard: () => void): unknown;
}

export interface SignalPorts {
  /** Where signals come from: the process. */
  readonly source: SignalSource;
  /** Milliseconds of a clock that only goes forward. */
  readonly monotonic: () => number;
  /** Whether the program was started on a terminal that is no more. */
  readonly terminalGone: () => boolean;
}

/** Stops that come closer together than this are one. */
const SAME_MS = 500;

/** @returns what takes the handlers away again. */
export function onSignals(actions: SignalActions, ports: SignalPorts): () => void {
  let stopHeardAt: number | undefined;
  const stop = (): void => {
    const now = ports.monotonic();
    if (stopHeardAt === undefined) {
      stopHeardAt = now;
      actions.drain();
    } else if (now - stopHeardAt >= SAME_MS) {
      actions.endAtOnce();
    }
  };
  const hangUp = (): void => {
    // Each one reloads: a file may have changed between two that come close together.
    if (!ports.terminalGone()) actions.reload();
    else if (stopHeardAt === undefined) stop();
  };
  const handlers = [
    ['SIGTERM', stop],
    ['SIGINT', stop],
    ['SIGHUP', hangUp],
  ] as const;
  for (const [signal, heard] of handlers) ports.source.on(signal, heard);
  return () => {
    for (const [signal, heard] of handlers) ports.source.off(signal, heard);
  };
}

/** The process, its clock and its terminal. */
export function processSignals(): SignalPorts {
  const onTerminal = process.stdout.isTTY;
  return {
    source: process,
    monotonic: () => performance.now(),
    terminalGone: () => onTerminal && !canWrite(process.stdout.fd),
  };
}

function canWrite(descriptor: number): boolean {
  try {
    writeSync(descriptor, '');
    return true;
  } catch {
    // EIO is the answer of a terminal that was hung up; there is no one left to tell.
    return false;
  }
}
