/** Postfix's own sink as the next hop of a relay, counting what came. Needs to start as root or as a user without -u. */
import { freePorts, start, stop, waitForPort } from '../../test/lib/process.ts';
import { program } from '../../test/lib/peers/install.ts';

export interface CountingSink {
  readonly port: number;
  /** Messages so far. */
  readonly count: number;
  /** Resolves when `count` messages came in all; rejects when none came for `silenceMs`. */
  waitFor(count: number, silenceMs?: number): Promise<void>;
  stop(): Promise<void>;
}

export async function startCountingSink(): Promise<CountingSink> {
  const [port] = (await freePorts(1)) as [number];
  let count = 0;
  let heard: () => void = () => undefined;
  const asRoot = process.getuid?.() === 0 ? ['-u', 'nobody'] : [];
  // Its counters come as `sess=1 quit=1 mesg=204\r`, a line after each message that is over.
  const running = await start([program('smtp-sink'), ...asRoot, '-c', `127.0.0.1:${port}`, '1000'], {
    onOut: (text) => {
      const last = text.lastIndexOf('mesg=');
      const found = /^mesg=(\d+)\r/.exec(text.slice(last))?.[1] ?? /mesg=(\d+)\r/.exec(text)?.[1];
      if (found !== undefined) count = Math.max(count, Number(found));
      heard();
    },
  });
  await waitForPort(port, { running });
  return {
    port,
    get count() {
      return count;
    },
    async waitFor(wanted, silenceMs = 60_000) {
      for (;;) {
        if (count >= wanted) return;
        const { promise, resolve, reject } = Promise.withResolvers<void>();
        heard = resolve;
        const timer = setTimeout(() => reject(new Error(`the sink has ${count} of ${wanted} messages`)), silenceMs);
        await promise.finally(() => clearTimeout(timer));
      }
    },
    stop: async () => void (await stop(running)),
  };
}
