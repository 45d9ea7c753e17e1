/**
 * `posthorn serve`: everything around the supervisor. Reads the settings, listens on the control socket, and does what
 * signals say (signals.ts): SIGHUP reloads, SIGTERM and Ctrl-C drain, a second one ends at once.
 */
import type { OwnedLog } from '../log.ts';
import { removeLockDirectory } from '../lock-directory.ts';
import { createLog } from '../log.ts';
import { createControlServer } from '../control/server.ts';
import type { ControlRequest } from '../control/protocol.ts';
import type { Settings } from '../ipc.ts';
import { type Master, startMaster } from './master.ts';
import { needsRestart } from './needs-restart.ts';
import { onSignals, processSignals, type SignalActions } from './signals.ts';

export interface ServeOptions {
  /** Reads configuration, users and certificate anew. @throws Error with a text for the operator */
  readonly readSettings: () => Promise<Settings>;
  /** Called once everything listens. */
  readonly onReady: (settings: Settings) => void;
}

/**
 * Serves until it is told to stop.
 * @throws Error with a text for the operator when the server cannot start
 */
export async function serve(options: ServeOptions): Promise<void> {
  const settings = await options.readSettings();
  const log = createLog({ ...settings.config.log, fields: {} });
  let master: Master | undefined;
  /** What the files say now, whether it is in force or not. */
  let latest = settings;
  const readSettings = async (): Promise<Settings> => (latest = await options.readSettings());
  /** @returns keys that changed and wait for a restart. @throws Error for the operator; the settings in force stay. */
  const reload = async (running: Master): Promise<string[]> => {
    await running.reload();
    const keys = needsRestart(settings.config, latest.config);
    if (keys.length > 0) log.warn('reload-incomplete', { keys, effect: 'they count after a restart' });
    return keys;
  };
  // First of all: a second server on the same data must stop here, before it touches anything.
  const control = await createControlServer({
    directory: settings.config.data,
    handle: (request) => answer(request, master, reload),
    log,
  });
  let forget = () => {};
  try {
    master = await startMaster({ readSettings, onReady: options.onReady });
    forget = onSignals(actionsOf(master, log, reload), processSignals());
    await master.ended;
  } finally {
    forget();
    // While the data is still ours: whoever comes next makes a folder of its own.
    removeLockDirectory(settings.config.data);
    await control.close();
    log.flush();
  }
}

type Reload = (master: Master) => Promise<string[]>;

async function* answer(request: ControlRequest, master: Master | undefined, reload: Reload): AsyncIterable<unknown> {
  if (master === undefined) throw new Error('the server is starting');
  switch (request.ask) {
    case 'reload':
      yield* await reload(master);
      break;
    case 'queue.retry':
      yield* master.ask({ ask: 'queue.retry', id: request.id });
      break;
    default:
      yield* master.ask(request);
  }
}

/** What a signal comes to. */
function actionsOf(master: Master, log: OwnedLog, reload: Reload): SignalActions {
  return {
    drain: () => void master.shutDown(),
    endAtOnce() {
      log.warn('stopped-at-once');
      log.flush();
      master.kill();
      process.exit(1);
    },
    reload() {
      reload(master).catch((error: unknown) => {
        log.error('reload-failed', {
          problem: error instanceof Error ? error.message : String(error),
          effect: 'the settings in force stay',
        });
      });
    },
  };
}
