/**
 * The log: pino behind core's Log. JSON lines, or a pretty form on a terminal. Lines are gathered and written a few
 * times a second, because a write for each line costs more than the line; warnings and errors go out at once.
 */
import { causeText } from '@posthorn/core/observe/cause-text';
import type { Log, LogFields } from '@posthorn/core/observe/log';
import { pino, type Logger } from 'pino';
import pretty from 'pino-pretty';
import { openLogOutput } from './log-output.ts';

export interface LogOptions {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  /** `auto`: pretty when standard output is a terminal. */
  readonly format: 'auto' | 'json' | 'pretty';
  /** In every line: the slot, the thread. */
  readonly fields: LogFields;
}

export interface OwnedLog extends Log {
  /** Writes what is gathered. To be called before the process or thread ends. */
  flush(): void;
}

const GATHER_BYTES = 8 * 1024;
const FLUSH_MS = 250;
/** Whoever logs a cause need not know what was thrown. */
const serializers = { cause: (cause: unknown) => (cause instanceof Error ? causeText(cause) : cause) };

/** @returns the root log of this thread. Nothing that it does throws, wherever its lines go. */
export function createLog(options: LogOptions): OwnedLog {
  const isTerminal = process.stdout.isTTY;
  if (options.format === 'pretty' || (options.format === 'auto' && isTerminal)) {
    const { stream } = openLogOutput(0);
    const lines = pretty({ colorize: isTerminal, destination: stream, ignore: 'pid,hostname,slot,thread', singleLine: true });
    return {
      ...wrap(pino({ level: options.level, serializers }, lines).child({ ...options.fields }), () => {}),
      flush: () => {},
    };
  }
  const output = openLogOutput(GATHER_BYTES);
  const logger = pino({ level: options.level, serializers, base: { pid: process.pid, ...options.fields } }, output.stream);
  const timer = setInterval(() => {
    output.flush();
    const lines = output.takeLost();
    if (lines > 0) logger.warn({ lines }, 'log-lines-lost');
  }, FLUSH_MS);
  timer.unref();
  return { ...wrap(logger, output.flush), flush: output.flushAtLast };
}

function wrap(logger: Logger, flush: () => void): Log {
  const none: LogFields = {};
  return {
    debug: (event, fields = none) => logger.debug(fields, event),
    info: (event, fields = none) => logger.info(fields, event),
    warn(event, fields = none) {
      logger.warn(fields, event);
      flush();
    },
    error(event, fields = none) {
      logger.error(fields, event);
      flush();
    },
    with: (fields) => wrap(logger.child({ ...fields }), flush),
  };
}
