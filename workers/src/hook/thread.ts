/**
 * A plugin thread: the one long-lived Piscina task of pool.ts. Loads and opens the plugins of its kind, then serves
 * the session threads that the main thread introduces to it, until it is told to leave or is ended. What a plugin does
 * to it (an endless loop, no memory, an exit) is for the main thread and the hook hosts to deal with; all this thread
 * does is say, in shared memory, whose call it was.
 */
import { type MessagePort, threadId } from 'node:worker_threads';
import { describe } from '@posthorn/core/hook/call';
import { createResolver } from '@posthorn/core/dns/resolver';
import { SharedSlabs } from '@posthorn/core/mail/slab-pool';
import { systemClock } from '@posthorn/core/mail/system-clock';
import { HookControl } from './control.ts';
import type { PluginThreadNews, PluginThreadOrder, PluginThreadTask } from './ipc.ts';
import { HookRunner } from './runner.ts';
import { serveSession } from './serve-session.ts';
import { createRemoteLog } from './thread-log.ts';
import { loadPlugins } from '../plugin/loader.ts';
import { openPlugins } from '../plugin/open.ts';

const BEAT_MS = 20;
const CONCURRENCY = 256;

/** Runs until the thread is told to leave; resolves then, and only then. */
export default async function serve(task: PluginThreadTask): Promise<void> {
  const { settings, kind, port } = task;
  const news = (message: PluginThreadNews) => port.postMessage(message);
  const log = createRemoteLog(news, systemClock);
  const plugins = await loadPlugins(settings.plugins, settings.baseDirectory);
  const open = await openPlugins(plugins, kind, {
    dns: createResolver({ ...settings.dns, clock: systemClock }),
    clock: systemClock,
    log,
    hostname: settings.hostname,
    dataDirectory: settings.dataDirectory,
  });
  const control = new HookControl(task.control);
  const slabs = new SharedSlabs();
  const left = Promise.withResolvers<void>();
  let leaving = false;
  const endIfDone = () => {
    if (leaving && runner.idle) setImmediate(left.resolve);
  };
  const runner = new HookRunner({
    kind,
    plugins,
    hooks: open.hooks,
    slabs,
    control,
    patienceMs: task.patienceMs,
    concurrency: CONCURRENCY,
    onIdle: endIfDone,
  });
  const unguard = guard(runner, log);
  const beat = setInterval(() => control.beat(), BEAT_MS);
  const sessions = new Set<MessagePort>();

  port.on('message', (order: PluginThreadOrder) => {
    if (order.to === 'plugin-thread.leave') {
      leaving = true;
      endIfDone();
      return;
    }
    sessions.add(order.port);
    order.port.on('close', () => sessions.delete(order.port));
    serveSession(order.host, order.port, runner, slabs);
  });
  news({ to: 'main.plugin-thread-ready', threadId });
  await left.promise;
  clearInterval(beat);
  unguard();
  await open.close();
  for (const session of sessions) session.close();
  port.close();
}

/** Names the guilty call when the thread ends by a plugin's doing; a stray rejection is only logged. */
function guard(runner: HookRunner, log: ReturnType<typeof createRemoteLog>): () => void {
  const onExit = () => runner.blame();
  const onException = (error: unknown) => {
    log.error('plugin.uncaught', { cause: describe(error) });
    process.exit(1);
  };
  const onRejection = (error: unknown) => log.warn('plugin.unhandled-rejection', { cause: describe(error) });
  process.on('exit', onExit);
  process.on('uncaughtException', onException);
  process.on('unhandledRejection', onRejection);
  return () => {
    process.off('exit', onExit);
    process.off('uncaughtException', onException);
    process.off('unhandledRejection', onRejection);
  };
}
