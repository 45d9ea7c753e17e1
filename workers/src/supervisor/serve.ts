/**
 * `posthorn serve`: everything around the supervisor. Reads the settings, listens on the control socket, turns signals
 * into calls: SIGHUP reloads, SIGTERM and Ctrl-C drain, a second one ends at once.
 */
import type { OwnedLog } from '../log.ts';
import { createLog } from '../log.ts';
import { createControlServer } from '../control/server.ts';
import type { ControlRequest } from '../control/protocol.ts';
import type { Settings } from '../ipc.ts';
import { type Master, startMaster } from './master.ts';

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
  // First of all: a second server on the same data must stop here, before it touches anything.
  const control = await createControlServer({
    directory: settings.config.data,
    handle: (request) => answer(request, master),
    log,
  });
  let forget = () => {};
  try {
    master = await startMaster({ readSettings: options.readSettings, onReady: options.onReady });
    forget = onSignals(master, log);
    await master.ended;
  } finally {
    forget();
    await control.close();
    log.flush();
  }
}

async function* answer(request: ControlRequest, master: Master | undefined): AsyncIterable<unknown> {
  if (master === undefined) throw new Error('the server is starting');
  switch (request.ask) {
    case 'reload':
      await master.reload();
      break;
    case 'queue.retry':
      yield* master.ask({ ask: 'queue.retry', id: request.id });
      break;
    default:
      yield* master.ask(request);
  }
}

/** @returns what takes the handlers away again. */
function onSignals(master: Master, log: OwnedLog): () => void {
  let stopping = false;
  const stop = (): void => {
    if (stopping) {
      log.warn('stopped-at-once');
      log.flush();
      master.kill();
      process.exit(1);
    }
    stopping = true;
    void master.shutDown();
  };
  const reload = (): void => {
    master.reload().catch((error: unknown) => {
      log.error('reload-failed', {
        problem: error instanceof Error ? error.message : String(error),
        effect: 'the settings in force stay',
      });
    });
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
  process.on('SIGHUP', reload);
  return () => {
    process.off('SIGTERM', stop);
    process.off('SIGINT', stop);
    process.off('SIGHUP', reload);
  };
}
