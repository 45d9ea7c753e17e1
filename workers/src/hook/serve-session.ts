/**
 * A plugin thread's end of the port to one session thread: calls go to the runner, all answers of one turn back as one
 * message. The session thread's memory is known here as long as it says, or as it lives. Used by thread.ts.
 */
import type { MessagePort } from 'node:worker_threads';
import type { SharedSlabs } from '@posthorn/core/mail/slab-pool';
import type { ToPluginThread, WireAnswer } from './ipc.ts';
import type { HookRunner } from './runner.ts';

/** Answers wait for the end of the turn, but not longer than this: a later call of the turn may never end. */
const ANSWERS_WAIT_MS = 1;

/** Serves the session thread behind `port` until the port closes. @param host its number, which its calls are told by */
export function serveSession(host: number, port: MessagePort, runner: Pick<HookRunner, 'take'>, slabs: SharedSlabs): void {
  let answers: WireAnswer[] = [];
  let firstAtMs = 0;
  const known = new Set<number>();
  const flush = () => {
    if (answers.length === 0) return;
    port.postMessage({ answers });
    answers = [];
  };
  const answer = (one: WireAnswer) => {
    const now = performance.now();
    if (answers.length === 0) {
      firstAtMs = now;
      setImmediate(flush);
    }
    answers.push(one);
    if (now - firstAtMs > ANSWERS_WAIT_MS) flush();
  };
  port.on('message', (batch: ToPluginThread) => {
    for (const [id, memory] of batch.slabs) {
      slabs.announce(id, memory);
      known.add(id);
    }
    for (const call of batch.calls) runner.take(host, call, answer);
    for (const id of batch.slabsGone) {
      slabs.forget(id);
      known.delete(id);
    }
  });
  // A thread that died said no more which of its memory is gone: all of it.
  port.on('close', () => {
    for (const id of known) slabs.forget(id);
  });
}
