/**
 * A server process: owns its shard of the queue, delivers from it, and runs the session threads and plugin threads.
 * Started by slot.ts; does what the supervisor says, and drains by itself when the supervisor is gone.
 */
import { createAdmissionControl } from '@posthorn/core/dispatch/admission';
import { createResolver } from '@posthorn/core/dns/resolver';
import { clearSpool } from '@posthorn/core/mail/message-writer';
import { SharedSlabs } from '@posthorn/core/mail/slab-pool';
import { systemClock } from '@posthorn/core/mail/system-clock';
import { clearThreadLocks } from '@posthorn/core/maildrop/opener';
import { createCounters } from '@posthorn/core/observe/count';
import { createStsPolicies } from '@posthorn/mta-sts';
import { createAcceptor } from './acceptor.ts';
import { answerQuestion } from './questions.ts';
import { startExpiry } from './expiry.ts';
import { startGauges } from './gauges.ts';
import { createIds } from '../ids.ts';
import type { ServerQuestion, Settings, ToMaster, ToServer } from '../ipc.ts';
import { lockDirectoryOf } from '../lock-directory.ts';
import { createLog, type OwnedLog } from '../log.ts';
import { PluginThreads } from './plugin-threads.ts';
import { isSelf } from './self.ts';
import { SessionThreads } from './session-threads.ts';
import { deliveryShare } from '../threads.ts';
import { closeShard, openShard, type Shard, type ShardParts } from './shard.ts';

type Start = Extract<ToServer, { to: 'server.start' }>;

const LAST_MAKER = 36 * 36 - 1;

class Server {
  readonly #start: Start;
  readonly #log: OwnedLog;
  readonly #counters = createCounters();
  readonly #admission;
  readonly #slabs = new SharedSlabs();
  readonly #plugins: PluginThreads;
  readonly #threads: SessionThreads;
  readonly #shards: Shard[] = [];
  #settings: Settings;
  #stopGauges: (() => void) | undefined;
  #endExpiry: (() => Promise<void>) | undefined;
  #ending = false;

  constructor(start: Start) {
    this.#start = start;
    this.#settings = start.settings;
    this.#log = createLog({ ...start.settings.config.log, fields: { slot: start.slot } });
    this.#admission = createAdmissionControl(start.sessionThreads);
    this.#plugins = new PluginThreads({ threads: start.pluginThreads, log: this.#log, counters: this.#counters });
    const accept = createAcceptor(this.#slabs, (messages, done) => this.#shards[0]!.queue.acceptBatch(messages, done));
    this.#threads = new SessionThreads(
      {
        slot: start.slot,
        processes: start.processes,
        threads: start.sessionThreads,
        ticketKeys: start.ticketKeys,
        admission: this.#admission,
        log: this.#log,
        equip: () => this.#plugins.equip(),
        onMessage: (message, answer) => {
          if (message.to === 'main.accept') accept(message.batch, answer);
          else if (message.to === 'main.slab') this.#slabs.announce(message.id, message.memory);
          else if (message.to === 'main.slab-gone') this.#slabs.forget(message.id);
        },
        onGone: (threadIndex) => this.#forgetThread(threadIndex),
        onFailed: (problem) => this.#fail(problem),
      },
      start.settings,
    );
  }

  async run(): Promise<void> {
    const { settings, slot, spareSlots } = this.#start;
    for (const one of [slot, ...spareSlots]) await clearSpool(spoolDirectory(settings, one));
    await this.#plugins.load(settings);
    const parts = this.#shardParts(settings);
    for (const one of [slot, ...spareSlots]) this.#shards.push(await openShard(one, parts));
    await this.#threads.start();
    for (const shard of this.#shards) shard.delivery.start();
    this.#stopGauges = startGauges({
      queue: this.#shards[0]!.queue,
      admission: this.#admission,
      minFreeBytes: settings.config.queue.minFreeBytes,
      log: this.#log,
    });
    if (slot === 0) this.#endExpiry = startExpiry(() => this.#settings, systemClock, this.#log);
    tell({ to: 'master.ready' });
  }

  async reload(token: number, settings: Settings): Promise<void> {
    try {
      const equip = await this.#plugins.load(settings);
      this.#settings = settings;
      const problems = await this.#threads.reload(settings, equip);
      const config = deliveryShare(settings.config, this.#start.processes);
      for (const shard of this.#shards) shard.delivery.reload(config, settings.users);
      await this.#plugins.endFormer();
      tell({ to: 'master.reloaded', token, ...(problems.length === 0 ? {} : { problem: problems.join('; ') }) });
    } catch (error) {
      tell({ to: 'master.reloaded', token, problem: messageOf(error) });
    }
  }

  /** Sessions begun from now on get these. */
  changeTls(tls: Settings['tls'], ticketKeys: Uint8Array): void {
    this.#settings = { ...this.#settings, tls };
    this.#threads.changeTls(tls, ticketKeys);
  }

  async answer(token: number, question: ServerQuestion): Promise<void> {
    try {
      const about = {
        shards: this.#shards,
        threads: this.#threads,
        admission: this.#admission,
        counters: this.#counters,
        slot: this.#start.slot,
      };
      for await (const part of answerQuestion(question, about)) tell({ to: 'master.answer', token, part, done: false });
      tell({ to: 'master.answer', token, done: true });
    } catch (error) {
      tell({ to: 'master.answer', token, done: true, problem: messageOf(error) });
    }
  }

  /** No new sessions; running ones and deliveries get their time; then the process ends. */
  async shutDown(): Promise<void> {
    if (this.#ending) return;
    this.#ending = true;
    const { graceMs } = this.#settings.config.shutdown;
    this.#admission.setDraining();
    this.#stopGauges?.();
    const expiryEnded = this.#endExpiry?.();
    await this.#threads.drain(graceMs);
    await Promise.all(this.#shards.map((shard) => closeShard(shard, graceMs)));
    await expiryEnded;
    await this.#plugins.close();
    this.#log.info('server-stopped');
    this.#log.flush();
    process.exit(0);
  }

  #shardParts(settings: Settings): ShardParts {
    const dns = createResolver({ ...settings.config.dns, clock: systemClock });
    return {
      settings,
      processes: this.#start.processes,
      dns,
      sts: createStsPolicies({ dns, clock: systemClock, log: this.#log }),
      pipeline: this.#plugins.pipeline,
      newId: createIds(LAST_MAKER - (this.#start.slot % 36), systemClock.now),
      isSelf: isSelf(() => this.#settings.config.listeners),
      clock: systemClock,
      log: this.#log,
      counters: this.#counters,
    };
  }

  #forgetThread(threadIndex: number): void {
    this.#slabs.forgetThread(threadIndex);
    try {
      clearThreadLocks(
        lockDirectoryOf(this.#settings.config.data),
        `${this.#start.slot}.${threadIndex}`,
        `${this.#start.slot}.main`,
      );
    } catch (error) {
      this.#log.warn('locks-not-cleared', { thread: threadIndex, cause: messageOf(error) });
    }
    // Its turn comes behind all that the thread had handed over: no file goes that is still to be taken over.
    this.#shards[0]?.queue.acceptBatch([], () => void this.#clearSpool(threadIndex));
  }

  /** Half-received messages of a dead thread; what it had handed over is the store's, or will be. */
  async #clearSpool(threadIndex: number): Promise<void> {
    try {
      await clearSpool(spoolDirectory(this.#settings, this.#start.slot), threadIndex);
    } catch (error) {
      this.#log.warn('spool-not-cleared', { thread: threadIndex, cause: messageOf(error) });
    }
  }

  #fail(problem: string): void {
    this.#log.error('server-failed', { problem });
    fail(problem);
  }
}

function spoolDirectory({ config }: Settings, slot: number): string {
  return `${config.data}/spool/${slot}`;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function tell(message: ToMaster): void {
  if (process.connected) process.send?.(message);
}

/** Says why, then ends: the supervisor starts another one, or gives up when this was the first try. */
function fail(problem: string): void {
  const end = () => process.exit(1);
  if (process.connected) process.send?.({ to: 'master.failed', problem } satisfies ToMaster, end);
  else end();
}

function main(): void {
  let server: Server | undefined;
  process.on('message', (message: ToServer) => {
    switch (message.to) {
      case 'server.start':
        server = new Server(message);
        server.run().catch((error: unknown) => fail(messageOf(error)));
        break;
      case 'server.reload':
        void server?.reload(message.token, message.settings);
        break;
      case 'server.tls':
        server?.changeTls(message.tls, message.ticketKeys);
        break;
      case 'server.shutdown':
        void server?.shutDown();
        break;
      case 'server.ask':
        void server?.answer(message.token, message.question);
        break;
    }
  });
  // Ctrl-C reaches the whole group: the supervisor decides. A SIGTERM meant for this process alone drains it.
  process.on('SIGINT', () => undefined);
  process.on('SIGHUP', () => undefined);
  process.on('SIGTERM', () => void server?.shutDown());
  process.on('disconnect', () => void server?.shutDown());
}

main();
