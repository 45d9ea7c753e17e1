/**
 * A session thread: listens, runs SMTP and POP3 sessions, and hands accepted messages to the main thread. Started by
 * session-threads.ts. A reload gives new connections a new set of ports; those that run keep what they began with.
 */
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import type { ListenerConfig } from '@posthorn/config';
import type { LoginForms } from '@posthorn/core/auth/authenticator';
import { Ledger } from '@posthorn/core/auth/ledger';
import { createAuthenticator } from '@posthorn/core/auth/password-authenticator';
import { createAdmission } from '@posthorn/core/dispatch/admission';
import { Listener, type ListenerSettings } from '@posthorn/core/dispatch/listener';
import { createMessageMemory, leastMemoryBytes } from '@posthorn/core/mail/message-writer';
import { systemClock } from '@posthorn/core/mail/system-clock';
import { createCounters } from '@posthorn/core/observe/count';
import { createAddressMatcher } from '@posthorn/core/wiring/addresses';
import { type Reception, wireReception } from '@posthorn/core/wiring/reception';
import { bearerCheckOf, throttleLimits } from './logins.ts';
import { Hooks, hookSettingsOf } from './hooks.ts';
import { createIds } from '../ids.ts';
import type { SessionThreadData, Settings, ToServerMain, ToSessionThread } from '../ipc.ts';
import { lockDirectoryOf } from '../lock-directory.ts';
import { createLog } from '../log.ts';
import { listenerTls } from './listener-tls.ts';
import { createMessageSink } from './message-sink.ts';
import { stableKeyOf } from '../stable-key.ts';
import { openUserSource } from '../user-source.ts';
import { shareOf } from '../threads.ts';

const BEAT_MS = 500;
/** For how long slow senders are dealt with strictly after a message found no memory. */
const MEMORY_SHORT_MS = 30_000;
/** Before the first settings are in use; no session is made then. */
const NO_FORMS: LoginForms = { password: false, secret: false, scram: false, bearer: false };

async function run(data: SessionThreadData, main: NonNullable<typeof parentPort>): Promise<void> {
  const { slot, threadIndex, place, heart } = data;
  const post = (message: ToServerMain) => main.postMessage(message);
  const { config } = data.settings;
  const log = createLog({ ...config.log, fields: { slot, thread: threadIndex } });
  const counters = createCounters();
  const parts = data.processes * data.sessionThreads;
  // The 36 * 36 makers of an id: slots and threads that live at one time never share one.
  const maker = (slot * data.sessionThreads + place) % (36 * 36);
  const newId = createIds(maker, systemClock.now);
  const newSessionId = createIds(maker, systemClock.now);
  const admission = createAdmission(
    data.admission,
    {
      maxConnections: shareOf(config.throughput.maxConnections, data.processes),
      maxConnectionsPerClient: shareOf(config.throughput.maxConnectionsPerClient, data.processes),
    },
    place,
  );
  /** When a message last found no memory. */
  let shortAtMs = -Infinity;
  const slabs = new Map<number, SharedArrayBuffer>();
  const hooks = new Hooks({ slabs, log, counters, clock: systemClock });
  await hooks.load(hookSettingsOf(data.settings), data.equipment);
  const { spillBytes } = config.throughput;
  const memory = createMessageMemory({
    threadIndex,
    // However small the share is: with less a thread would never take a message.
    limitBytes: Math.max(shareOf(config.throughput.messageMemoryBytes, parts), leastMemoryBytes(spillBytes)),
    spillBytes,
    spoolDirectory: `${config.data}/spool/${slot}`,
    onNewSlab: (id, slab) => {
      slabs.set(id, slab);
      post({ to: 'main.slab', id, memory: slab });
      hooks.announceSlab(id, slab);
    },
    onSlabGone: (id) => {
      slabs.delete(id);
      post({ to: 'main.slab-gone', id });
      hooks.forgetSlab(id);
    },
    onFailure: (failure, cause) => {
      if (failure === 'memory') shortAtMs = systemClock.monotonic();
      log.warn('message-not-kept', { failure, cause });
    },
  });
  const sink = createMessageSink({
    begin: (declaredBytes) => {
      if (admission.diskShort) return undefined;
      const message = memory.begin(declaredBytes);
      if (message === undefined) shortAtMs = systemClock.monotonic();
      return message;
    },
    post,
  });
  let reception: Reception | undefined;
  let bearer = bearerCheckOf(config);
  let source = await openUserSource(config);
  const authenticator = createAuthenticator({
    findUser: (name) => reception?.user(name),
    findHolder: (fingerprint256) => reception?.holder(fingerprint256),
    knownSalts: () => reception?.knownSalts,
    forms: () => reception?.forms ?? NO_FORMS,
    stableKey: stableKeyOf(config.data),
    bearer: () => bearer,
    source: () => source,
    ledger: new Ledger(data.loginLedger),
    throttle: () => throttleLimits(life.settings.config, data.processes),
    // The ledger is for all threads, and each has a beginning of its own.
    clock: { ...systemClock, monotonic: () => performance.timeOrigin + performance.now() },
    log,
    counters,
  });
  const listeners = new Map<string, Listener>();
  /** Those that a reload took out, until their last session is gone. */
  const leaving = new Map<Listener, Promise<void>>();
  const life = { draining: false, settings: data.settings, ticketKeys: data.ticketKeys };

  function settingsFor(settings: Settings): (listener: ListenerConfig) => ListenerSettings {
    const wired = wireReception({
      config: settings.config,
      users: settings.users,
      authenticator,
      hostname: settings.hostname,
      pipeline: hooks.pipeline,
      sink,
      newId,
      lockDirectory: lockDirectoryOf(config.data),
      threadTag: `${slot}.${threadIndex}`,
      clock: systemClock,
      log,
      counters,
    });
    bearer = bearerCheckOf(settings.config);
    reception = wired;
    return (listener) => ({
      timeouts: { ...listener.timeouts, minBytesPerSecond: listener.limits.minBytesPerSecond },
      tls: listenerTls(settings, listener, settings.tls, life.ticketKeys),
      open: wired.sessionsFor(listener),
      isProxy: createAddressMatcher(listener.proxyFrom),
      proxyHeaderMs: listener.timeouts.proxyHeaderMs,
    });
  }

  /** Opens what is new, changes what stays, drains what is not in the settings any more. */
  async function listen(settings: Settings): Promise<void> {
    const settingsOf = settingsFor(settings);
    life.settings = settings;
    const wanted = new Map(settings.config.listeners.map((one) => [keyOf(one), one]));
    for (const [key, listener] of listeners) {
      if (wanted.has(key)) continue;
      listeners.delete(key);
      const gone = listener.drain().then(() => void leaving.delete(listener));
      leaving.set(listener, gone);
    }
    for (const [key, one] of wanted) {
      const running = listeners.get(key);
      if (running !== undefined) {
        running.change(settingsOf(one));
        continue;
      }
      const [, host = '', port = ''] = /^(.*):(\d+)$/.exec(one.address) ?? [];
      const listener = new Listener(
        {
          name: one.name,
          protocol: one.protocol === 'pop3' ? 'pop3' : 'smtp',
          host: host.replace(/^\[|\]$/g, ''),
          port: Number(port),
          implicitTls: one.tls === 'implicit',
          hostname: settings.hostname,
          admission,
          log,
          counters,
          now: systemClock.monotonic,
          newSessionId,
          memoryShort: () => systemClock.monotonic() - shortAtMs < MEMORY_SHORT_MS,
        },
        settingsOf(one),
      );
      await listener.listen();
      listeners.set(key, listener);
      // The order to drain came while it was being opened, and did not find it.
      if (life.draining) await listener.drain();
    }
    // Certificates changed while a listener was being opened.
    if (life.settings !== settings) changeTls(life.settings.tls, life.ticketKeys);
  }

  /** Certificates or keys of tickets changed; the supervisor has seen that they can be used. */
  function changeTls(tls: Settings['tls'], ticketKeys: Uint8Array): void {
    life.settings = { ...life.settings, tls };
    life.ticketKeys = ticketKeys;
    for (const one of life.settings.config.listeners) {
      try {
        listeners.get(keyOf(one))?.changeTls(listenerTls(life.settings, one, tls, ticketKeys));
      } catch (error) {
        log.error('certificates-not-changed', {
          listener: one.name,
          cause: error instanceof Error ? error.message : String(error),
        });
      }
    }
  }

  async function reload(token: number, settings: Settings, equipment: MessagePort | undefined): Promise<void> {
    try {
      // A thread that is just being started listens by its first settings before it changes anything.
      await begun;
      source = await openUserSource(settings.config);
      if (equipment !== undefined) await hooks.load(hookSettingsOf(settings), equipment);
      await listen(settings);
      post({ to: 'main.reloaded', token });
    } catch (error) {
      post({ to: 'main.reloaded', token, problem: error instanceof Error ? error.message : String(error) });
    }
  }

  async function drain(): Promise<void> {
    life.draining = true;
    await Promise.all([...[...listeners.values()].map((listener) => listener.drain()), ...leaving.values()]);
    await hooks.close();
    log.flush();
    post({ to: 'main.drained' });
    main.close();
  }

  const begun = listen(data.settings);
  main.on('message', (message: ToSessionThread) => {
    switch (message.to) {
      case 'thread.accepted':
        sink.answered(message.answers);
        break;
      case 'thread.reload':
        void reload(message.token, message.settings, message.equipment);
        break;
      case 'thread.tls':
        changeTls(message.tls, message.ticketKeys);
        break;
      case 'thread.drain':
        void drain();
        break;
      case 'thread.stop':
        for (const listener of [...listeners.values(), ...leaving.keys()]) listener.destroy();
        break;
      case 'thread.count':
        post({ to: 'main.count', token: message.token, counts: counters.snapshot(), heldBytes: memory.heldBytes });
        break;
    }
  });
  setInterval(() => Atomics.add(heart, 0, 1), BEAT_MS).unref();

  await begun;
  post({ to: 'main.listening' });
}

/** What makes a listener another one. */
function keyOf({ name, protocol, address, tls }: ListenerConfig): string {
  return `${name} ${protocol} ${address} ${tls}`;
}

if (parentPort !== null) {
  const main = parentPort;
  run(workerData as SessionThreadData, main).catch((error: unknown) => {
    main.postMessage({
      to: 'main.failed',
      problem: error instanceof Error ? error.message : String(error),
    } satisfies ToServerMain);
  });
}
