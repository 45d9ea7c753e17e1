/** A server of one test's own with its log, gone when the test ends: for tests of a file that run beside each other. */
import type { TestContext } from 'vitest';
import { ServerLog } from './server-log.ts';
import { type Posthorn, type PosthornOptions, startPosthorn } from './server.ts';

export interface Rig {
  /** The test's own, since several run at once. */
  readonly expect: TestContext['expect'];
  readonly log: ServerLog;
  /** The one that runs now: `restart` puts another in its place. */
  readonly server: Posthorn;
  restart(config?: PosthornOptions['config']): Promise<void>;
}

/** Starts a server with a user `alice`, password `secret`. */
export async function startRig({ expect, onTestFinished }: TestContext, options: PosthornOptions): Promise<Rig> {
  const log = new ServerLog();
  let server = await startPosthorn({ users: { alice: 'secret' }, onLog: log.read, ...options });
  onTestFinished(async () => {
    await server.stop();
    server.remove();
  });
  return {
    expect,
    log,
    get server() {
      return server;
    },
    async restart(config) {
      server = await server.restart(config);
    },
  };
}
