/**
 * Keeps TLS up to date in a running server: looks at the files of certificates now and then, takes up what has changed,
 * and renews the keys of session tickets. A file that cannot be used leaves the former certificates in force, and the
 * log says so, once. Owned by the supervisor (master.ts); the only one with a timer in it.
 */
import { statSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import type { Config } from '@posthorn/config';
import type { Log } from '@posthorn/core/observe/log';
import type { TlsMaterial } from '../ipc.ts';
import { TicketKeys } from './ticket-keys.ts';
import { tlsFiles } from './tls-files.ts';

export interface TlsUpkeepOptions {
  readonly log: Log;
  /** Wall clock. */
  readonly now: () => number;
  /** @throws Error with a text for the operator */
  readonly read: (config: Config) => Promise<TlsMaterial>;
  /** Runs a look when no reload is under way, and lets none begin before it is done. */
  readonly inTurn: (look: () => Promise<void>) => Promise<void>;
  /** New certificates are to be taken up, or new keys of tickets. */
  readonly onChange: (tls: TlsMaterial, ticketKeys: Uint8Array) => void;
}

const DAY_MS = 86_400_000;
/** So long before its end a certificate should have been renewed. */
const WARN_MS = 14 * DAY_MS;

export class TlsUpkeep {
  readonly #options: TlsUpkeepOptions;
  readonly #tickets = new TicketKeys();
  #config: Config;
  #tls: TlsMaterial;
  #ticketKeys: Uint8Array;
  /** What the files were like when they were last taken up, last refused, and last looked at. */
  #taken: string | undefined;
  #refused: string | undefined;
  #seen: string;
  #warnedAtMs = Number.NEGATIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: TlsUpkeepOptions, config: Config, tls: TlsMaterial) {
    this.#options = options;
    this.#config = config;
    this.#tls = tls;
    this.#seen = stampOf(tlsFiles(config));
    this.#ticketKeys = this.#keysNow();
    this.#warnOfEnds();
  }

  /** Of session tickets, now. */
  get ticketKeys(): Uint8Array {
    return this.#ticketKeys;
  }

  /** Begins to look. */
  start(): void {
    this.stop();
    const again = () => {
      if (this.#timer !== undefined) this.start();
    };
    const look = () => void this.#options.inTurn(() => this.look()).then(again);
    this.#timer = setTimeout(look, this.#config.tls.checkEvery);
    this.#timer.unref();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  /** Settings that were read elsewhere (a reload) are in force; their keys of tickets come with the next look. */
  adopt(config: Config, tls: TlsMaterial): void {
    this.#config = config;
    this.#tls = tls;
    // A file may have changed since it was read: the next look sees what it really holds.
    this.#taken = undefined;
    this.#seen = stampOf(tlsFiles(config));
    this.#refused = undefined;
    this.#warnOfEnds();
  }

  /** Takes up what has changed and stayed so since the last look: a file may be half written. Never rejects. */
  async look(): Promise<void> {
    const stamp = stampOf(tlsFiles(this.#config));
    const settled = stamp === this.#seen;
    this.#seen = stamp;
    if (settled && stamp !== this.#taken && stamp !== this.#refused) await this.#take(stamp);
    const ticketKeys = this.#keysNow();
    if (!Buffer.from(ticketKeys).equals(this.#ticketKeys)) {
      this.#ticketKeys = ticketKeys;
      this.#options.onChange(this.#tls, ticketKeys);
    }
    this.#warnOfEnds();
  }

  async #take(stamp: string): Promise<void> {
    const { log, read, onChange } = this.#options;
    try {
      const tls = await read(this.#config);
      this.#taken = stamp;
      this.#refused = undefined;
      if (isDeepStrictEqual(tls, this.#tls)) return;
      this.#tls = tls;
      this.#warnedAtMs = Number.NEGATIVE_INFINITY;
      log.info('certificates-changed', { certificates: tls.identities.map((one) => one.names[0] ?? one.fingerprint256) });
      onChange(tls, this.#ticketKeys);
    } catch (error) {
      this.#refused = stamp;
      const problem = error instanceof Error ? error.message : String(error);
      log.error('certificates-not-changed', { problem, effect: 'the former certificates stay in force' });
    }
  }

  #keysNow(): Uint8Array {
    return this.#tickets.at(this.#options.now(), this.#config.tls.ticketRotation, this.#tls.ticketSecret);
  }

  /** Once a day. */
  #warnOfEnds(): void {
    const { now, log } = this.#options;
    const nowMs = now();
    if (nowMs - this.#warnedAtMs < DAY_MS) return;
    this.#warnedAtMs = nowMs;
    const own = Object.values(this.#tls.listeners).flatMap(({ identities }) => identities ?? []);
    for (const { names, fingerprint256, endsAtMs } of [...this.#tls.identities, ...own]) {
      if (endsAtMs - nowMs > WARN_MS) continue;
      const event = endsAtMs < nowMs ? 'certificate-expired' : 'certificate-expires';
      log.warn(event, { names, fingerprint256, at: new Date(endsAtMs).toISOString() });
    }
  }
}

/** Differs when a file was written, replaced, or came or went; follows links, since tools swap those. */
function stampOf(files: readonly string[]): string {
  return files
    .map((file) => {
      const stat = statSync(file, { bigint: true, throwIfNoEntry: false });
      return stat === undefined ? `${file} -` : `${file} ${stat.dev} ${stat.ino} ${stat.size} ${stat.mtimeNs} ${stat.ctimeNs}`;
    })
    .join('\n');
}
