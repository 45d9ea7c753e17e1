/**
 * The supervisor: reads the configuration, keeps a server process running in each slot, and passes on reload, shutdown
 * and questions. It touches no mail: when it dies the servers drain by themselves, and nothing acknowledged is lost.
 */
import { readdir } from 'node:fs/promises';
import { isDeepStrictEqual } from 'node:util';
import type { ListenerConfig } from '@posthorn/config';
import type { OwnedLog } from '../log.ts';
import { createLog } from '../log.ts';
import type { ServerQuestion, Settings, TlsMaterial, ToMaster, ToServer } from '../ipc.ts';
import { checkPorts } from './ports-free.ts';
import { Slot } from './slot.ts';
import { type Sizes, sizesOf } from '../threads.ts';
import { withSourceUsers } from './source-users.ts';
import { readTls } from './tls-files.ts';
import { TlsUpkeep } from './tls-upkeep.ts';

export interface MasterOptions {
  /** Reads configuration, users and certificate anew. @throws Error with a text for the operator */
  readonly readSettings: () => Promise<Settings>;
  /** Called once when every server process is ready. */
  readonly onReady: (settings: Settings) => void;
}

/** What `posthorn queue …`, `status` and `reload` reach over the control socket. */
export interface Master {
  /** Asks every server process; parts come as they are found. @throws Error when one could not answer */
  ask(question: ServerQuestion): AsyncIterable<unknown>;
  /** @throws Error with a text for the operator; the settings in force stay. */
  reload(): Promise<void>;
  /** Ends every process at once: what was not acknowledged is lost. */
  kill(): void;
  /** Drains and ends everything. */
  shutDown(): Promise<void>;
  /** Resolves when the server has ended; rejects when it cannot start. */
  readonly ended: Promise<void>;
}

/** Longer than the sessions' and deliveries' own time, before a process is killed. */
const KILL_AFTER_MS = 5_000;

interface Question {
  readonly slot: number;
  readonly onPart: (part: unknown) => void;
  readonly onDone: (problem: string | undefined) => void;
}

/** Starts the server processes. */
export async function startMaster(options: MasterOptions): Promise<Master> {
  const settings = await options.readSettings();
  await checkPorts(settings.config.listeners);
  const spare = await spareSlots(settings, sizesOf(settings.config.throughput).processes);
  return new Supervisor(options, settings, spare);
}

/** Shards on disk of slots that will not run: they are dealt out over those that do. */
async function spareSlots(settings: Settings, processes: number): Promise<number[]> {
  if (settings.config.queue.store === 'memory') return [];
  try {
    const names = await readdir(`${settings.config.data}/queue`);
    return names.map(Number).filter((slot) => Number.isInteger(slot) && slot >= processes);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return [];
    throw error;
  }
}

/** Listeners on ports that are not ours yet. */
function newPorts(former: Settings, settings: Settings): ListenerConfig[] {
  const portOf = ({ address }: ListenerConfig) => address.slice(address.lastIndexOf(':'));
  const ours = new Set(former.config.listeners.map(portOf));
  return settings.config.listeners.filter((listener) => !ours.has(portOf(listener)));
}

class Supervisor implements Master {
  readonly ended: Promise<void>;
  readonly #options: MasterOptions;
  readonly #log: OwnedLog;
  readonly #sizes: Sizes;
  readonly #tls: TlsUpkeep;
  readonly #slots: Slot[] = [];
  readonly #ready = new Set<number>();
  /** What the process in each slot works from, or was started with. */
  readonly #given = new Map<number, Settings>();
  /** Wait for a process that is being started: until it is ready, or gone. */
  readonly #awaitStart = new Map<number, () => void>();
  readonly #questions = new Map<number, Question>();
  readonly #ended = Promise.withResolvers<void>();
  #settings: Settings;
  #usersTimer: NodeJS.Timeout | undefined;
  #nextToken = 1;
  #announced = false;
  /** Ends with the last reload asked for, however that ended. */
  #reloading: Promise<void> = Promise.resolve();
  #stopping: Promise<void> | undefined;

  constructor(options: MasterOptions, settings: Settings, spare: readonly number[]) {
    this.#options = options;
    this.#settings = settings;
    this.ended = this.#ended.promise;
    this.#log = createLog({ ...settings.config.log, fields: {} });
    this.#sizes = sizesOf(settings.config.throughput);
    this.#watchUsers();
    this.#tls = new TlsUpkeep(
      {
        log: this.#log,
        now: Date.now,
        inTurn: (look) => (this.#reloading = this.#reloading.then(look)),
        read: (config) => readTls(config, () => undefined),
        onChange: (tls, ticketKeys) => this.#tlsChanged(tls, ticketKeys),
      },
      settings.config,
      settings.tls,
    );
    this.#tls.start();
    for (let slot = 0; slot < this.#sizes.processes; slot++) {
      const one = new Slot({
        slot,
        fileThreads: this.#sizes.fileThreads,
        log: this.#log,
        start: () => {
          this.#given.set(slot, this.#settings);
          return {
            to: 'server.start',
            settings: this.#settings,
            slot,
            processes: this.#sizes.processes,
            spareSlots: spare.filter((other) => other % this.#sizes.processes === slot),
            sessionThreads: this.#sizes.sessionThreads,
            pluginThreads: this.#sizes.pluginThreads,
            ticketKeys: this.#tls.ticketKeys,
          };
        },
        onMessage: (message) => this.#heard(slot, message),
        onExit: () => this.#slotGone(slot),
      });
      this.#slots.push(one);
      one.run();
    }
  }

  async *ask(question: ServerQuestion): AsyncIterable<unknown> {
    for (const slot of this.#slots.keys()) yield* this.#askSlot(slot, (token) => ({ to: 'server.ask', token, question }));
  }

  /** Reads everything anew; one reload after the other, so that the last one asked for is the one in force. */
  reload(): Promise<void> {
    const ended = this.#reloading.then(() => this.#reload());
    const whatever = () => undefined;
    this.#reloading = ended.then(whatever, whatever);
    return ended;
  }

  /** Asks the source of users again now and then, where there is one. */
  #watchUsers(): void {
    const { sourceRefresh } = this.#settings.config.auth;
    this.#usersTimer = setTimeout(() => {
      this.#reloading = this.#reloading.then(() => this.#refreshUsers());
      void this.#reloading.then(() => this.#stopping ?? this.#watchUsers());
    }, sourceRefresh);
    this.#usersTimer.unref();
  }

  async #refreshUsers(): Promise<void> {
    const former = this.#settings;
    if (former.config.auth.source === null || this.#stopping !== undefined) return;
    try {
      const own = former.users.filter((user) => user.elsewhere === undefined);
      const { users, leftOut } = await withSourceUsers(former.config, own, (problem) =>
        this.#log.warn('users-not-refreshed', { problem, effect: 'those listed last stay' }),
      );
      if (isDeepStrictEqual(users, former.users)) return;
      this.#settings = { ...former, users };
      await this.#tellSettings();
      this.#log.info('users-changed', { users: users.length, leftOut: leftOut.slice(0, 10) });
    } catch (error) {
      this.#settings = former;
      this.#log.error('users-not-refreshed', { problem: error instanceof Error ? error.message : String(error) });
    }
  }

  async #reload(): Promise<void> {
    const former = this.#settings;
    const settings = await this.#options.readSettings();
    await checkPorts(newPorts(former, settings));
    this.#settings = settings;
    try {
      await this.#tellSettings();
    } catch (refused) {
      // What one process cannot take (a plugin that does not load) no other one may run with, nor the next one start with.
      this.#settings = former;
      await this.#tellSettings();
      throw refused;
    }
    this.#tls.adopt(settings.config, settings.tls);
    this.#log.info('reloaded');
  }

  /** Every process is told at once: a process that is being started reads its messages in their order. */
  #tlsChanged(tls: TlsMaterial, ticketKeys: Uint8Array): void {
    this.#settings = { ...this.#settings, tls };
    for (const slot of this.#slots) slot.send({ to: 'server.tls', tls, ticketKeys });
  }

  async #tellSettings(): Promise<void> {
    const settings = this.#settings;
    const readyFirst = [...this.#slots.keys()].toSorted((a, b) => Number(this.#ready.has(b)) - Number(this.#ready.has(a)));
    for (const slot of readyFirst) {
      if (!this.#ready.has(slot)) await this.#startEnded(slot);
      // One that died, or was not there, begins with these settings.
      if (!this.#ready.has(slot) || this.#given.get(slot) === settings) continue;
      for await (const part of this.#askSlot(slot, (token) => ({ to: 'server.reload', token, settings }))) void part;
      this.#given.set(slot, settings);
    }
  }

  /** Resolves when the process in this slot is ready or gone; at once when there is none. */
  #startEnded(slot: number): Promise<void> {
    if (this.#slots[slot]?.pid === undefined) return Promise.resolve();
    return new Promise((resolve) => this.#awaitStart.set(slot, resolve));
  }

  shutDown(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  /** Ends everything at once: what was not acknowledged is lost. */
  kill(): void {
    for (const slot of this.#slots) slot.kill();
  }

  async #stop(): Promise<void> {
    this.#log.info('stopping');
    this.#tls.stop();
    clearTimeout(this.#usersTimer);
    const graceMs = 2 * this.#settings.config.shutdown.graceMs + KILL_AFTER_MS;
    await Promise.all(this.#slots.map((slot) => slot.stop(graceMs)));
    this.#log.info('stopped');
    this.#log.flush();
    this.#ended.resolve();
  }

  /** One question to one process, as a stream of its parts; at most one chunk of parts waits for the reader. */
  async *#askSlot(slot: number, make: (token: number) => ToServer): AsyncIterable<unknown> {
    const token = this.#nextToken++;
    const parts: unknown[] = [];
    let outcome: { readonly problem: string | undefined } | undefined;
    let wake: () => void = () => undefined;
    this.#questions.set(token, {
      slot,
      onPart(part) {
        parts.push(part);
        wake();
      },
      onDone(problem) {
        outcome = { problem };
        wake();
      },
    });
    try {
      if (this.#slots[slot]?.send(make(token)) !== true) throw new Error(`server process ${slot} is being started again`);
      while (true) {
        while (parts.length > 0) yield parts.shift();
        if (outcome !== undefined) break;
        await new Promise<void>((resolve) => (wake = resolve));
      }
      if (outcome.problem !== undefined) throw new Error(outcome.problem);
    } finally {
      this.#questions.delete(token);
    }
  }

  #heard(slot: number, message: ToMaster): void {
    switch (message.to) {
      case 'master.ready':
        this.#ready.add(slot);
        this.#awaitStart.get(slot)?.();
        this.#log.info('server-process-ready', { slot, serverPid: this.#slots[slot]?.pid });
        if (!this.#announced && this.#ready.size === this.#slots.length) {
          this.#announced = true;
          this.#options.onReady(this.#settings);
        }
        break;
      case 'master.failed':
        this.#failed(slot, message.problem);
        break;
      case 'master.reloaded':
        this.#questions.get(message.token)?.onDone(message.problem);
        break;
      case 'master.answer': {
        const question = this.#questions.get(message.token);
        if (message.part !== undefined) question?.onPart(message.part);
        if (message.done) question?.onDone(message.problem);
        break;
      }
    }
  }

  /** At the first start a problem ends it, so that the operator sees it; later the slot is tried again with backoff. */
  #failed(slot: number, problem: string): void {
    this.#log.error('server-process-failed', { slot, problem });
    if (this.#announced) return;
    for (const one of this.#slots) one.kill();
    this.#log.flush();
    this.#ended.reject(new Error(problem));
  }

  #slotGone(slot: number): void {
    this.#ready.delete(slot);
    this.#awaitStart.get(slot)?.();
    for (const question of this.#questions.values()) {
      if (question.slot === slot) question.onDone(`server process ${slot} ended before it answered`);
    }
  }
}
