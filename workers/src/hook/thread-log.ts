/**
 * The log of plugin threads: lines travel to the main thread, which writes them. A plugin that logs without end must not
 * fill memory or disk: past so many lines a second the rest is counted and left out.
 */
import type { Clock } from '@posthorn/core/mail/clock';
import type { Log, LogFields } from '@posthorn/core/observe/log';
import type { PluginThreadNews } from './ipc.ts';

const LINES_A_SECOND = 200;

/** A Log that posts its lines. Fields that cannot cross threads become texts. */
export function createRemoteLog(post: (news: PluginThreadNews) => void, clock: Clock): Log {
  let second = 0;
  let lines = 0;
  let leftOut = 0;

  function line(level: 'debug' | 'info' | 'warn' | 'error', event: string, fields: LogFields): void {
    const now = Math.floor(clock.monotonic() / 1000);
    if (now !== second) {
      second = now;
      lines = 0;
      if (leftOut > 0)
        post({ to: 'main.plugin-log', level: 'warn', event: 'plugin.log-lines-left-out', fields: { lines: leftOut } });
      leftOut = 0;
    }
    lines += 1;
    if (lines > LINES_A_SECOND) {
      leftOut += 1;
      return;
    }
    post({ to: 'main.plugin-log', level, event, fields: plain(fields) });
  }

  function withFields(base: LogFields): Log {
    return {
      debug: (event, fields) => line('debug', event, { ...base, ...fields }),
      info: (event, fields) => line('info', event, { ...base, ...fields }),
      warn: (event, fields) => line('warn', event, { ...base, ...fields }),
      error: (event, fields) => line('error', event, { ...base, ...fields }),
      with: (fields) => withFields({ ...base, ...fields }),
    };
  }
  return withFields({});
}

function plain(fields: LogFields): LogFields {
  try {
    return structuredClone(fields);
  } catch {
    // Functions, sockets and the like: their text is all a log line can show.
    return Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, String(value)]));
  }
}
