/**
 * Ports for a POP3 session that lives in a test: one maildrop in memory, two users, and a record of what was locked,
 * deleted, logged and counted. Used by test/dialogs/pop3 and test/fuzz.
 */
import { BufferPool } from '@posthorn/core/wire/buffer-pool';
import type { LoginForms } from '@posthorn/core/auth/authenticator';
import type { Pipeline } from '@posthorn/core/hook/contract';
import { asciiHeader, endOfHeader } from '@posthorn/core/mail/ascii-header';
import type { LogFields } from '@posthorn/core/observe/log';
import type { Maildrop, OpenResult, Pop3Ports, Pop3Profile, Retention } from '@posthorn/core/pop3/ports';
import { NO_HOOKS } from './smtp-ports.ts';
import { createTestAuthenticator } from './test-authenticator.ts';

export const TEST_POP3_PROFILE: Pop3Profile = {
  listener: 'pop3',
  hostname: 'mx.example.org',
  starttls: true,
  requireTls: false,
  plaintextLogin: 'always',
  loginDelayMs: 0,
  language: 'en',
  maxLineBytes: 255,
  maxErrors: 10,
  maxUnknownCommands: 100,
  maxIdleCommands: 1000,
};

/** No mailbox is ever emptied. */
const NEVER: Retention = { leastDays: null, sameForAll: true, daysOf: () => null };

export interface TestMessage {
  readonly uidl: string;
  readonly text: string;
}

export interface Pop3KitOptions {
  readonly profile?: Partial<Pop3Profile>;
  readonly hooks?: Partial<Pipeline>;
  readonly messages?: readonly TestMessage[];
  readonly retention?: Partial<Retention>;
  /** Ports answer by promise; messages come in chunks of this many bytes. */
  readonly streamBytes?: number;
  readonly async?: boolean;
  readonly drop?: 'in-use' | 'too-soon' | 'failed' | 'broken';
  /** Indices of messages that cannot be read, or not be deleted. */
  readonly gone?: readonly number[];
  readonly stuck?: readonly number[];
  /** The same, for want of permission. */
  readonly forbidden?: readonly number[];
  /** Reading a message in chunks fails behind so many bytes. */
  readonly breaksAt?: number;
  readonly forms?: Partial<LoginForms>;
}

export interface Pop3Kit {
  readonly ports: Pop3Ports;
  readonly profile: Pop3Profile;
  readonly logged: { readonly level: string; readonly event: string; readonly fields: LogFields | undefined }[];
  /** Locks that are held. */
  held: number;
  /** Readers that were begun and not given back. */
  reading: number;
  /** Logins that count for LOGIN-DELAY. */
  logins: number;
  /** UIDLs, in order. */
  readonly deleted: string[];
}

/** One for all sessions, as a thread has it: what one of them leaves in it must not be another's. */
const BUFFERS = new BufferPool();

/** alice, bob and jürgen have the password `secret word`; mallory is throttled. */
export function createPop3Kit(options: Pop3KitOptions = {}): Pop3Kit {
  const messages = options.messages ?? [];
  const later = <T>(value: T): T | Promise<T> =>
    options.async === true ? new Promise((resolve) => setImmediate(() => resolve(value))) : value;
  const record = (level: string) => (event: string, fields?: LogFields) => void kit.logged.push({ level, event, fields });
  const log = { debug: record('debug'), info: record('info'), warn: record('warn'), error: record('error'), with: () => log };

  function open(): OpenResult {
    if (options.drop === 'in-use' || options.drop === 'too-soon') return { ok: false, why: options.drop };
    if (options.drop !== undefined) {
      return { ok: false, why: 'failed', permanent: options.drop === 'broken', cause: 'as the test wants it' };
    }
    kit.held++;
    let released = false;
    const release = () => {
      if (!released) kit.held--;
      released = true;
    };
    const bytesOf = (index: number) => {
      if (released) throw new Error('read after the lock was given up');
      if (options.gone?.includes(index) === true) throw new Error('gone, as the test wants it');
      if (options.forbidden?.includes(index) === true) throw Object.assign(new Error('as the test wants it'), { code: 'EACCES' });
      return Buffer.from(messages[index]!.text, 'latin1');
    };
    const drop: Maildrop = {
      messages: messages.map(({ uidl, text }) => {
        const sizeBytes = text.length + (text === '' || text.endsWith('\n') ? 0 : 2);
        const bytes = Buffer.from(text, 'latin1');
        const header = bytes.subarray(0, endOfHeader(bytes));
        const surrogate = asciiHeader(header);
        return surrogate === undefined
          ? { uidl, sizeBytes }
          : { uidl, sizeBytes, surrogateBytes: sizeBytes - header.length + surrogate.length };
      }),
      readWhole(index) {
        if (options.streamBytes !== undefined) return undefined;
        const bytes = bytesOf(index);
        kit.reading++;
        return later({
          bytes,
          giveBack() {
            kit.reading--;
            bytes.fill('?');
          },
        });
      },
      sizeOf: (index) => drop.messages[index]!.sizeBytes,
      async *read(index) {
        kit.reading++;
        try {
          const bytes = bytesOf(index);
          for (let at = 0; at < bytes.length; at += options.streamBytes ?? 1000) {
            if (at >= (options.breaksAt ?? Infinity)) throw new Error('breaks off, as the test wants it');
            const lent = Buffer.from(bytes.subarray(at, at + (options.streamBytes ?? 1000)));
            yield await later(lent);
            // It is the drop's again: whoever still needs it has what another message put there.
            lent.fill('?');
          }
        } finally {
          kit.reading--;
        }
      },
      async commit(deleted) {
        if (released) throw new Error('committed after the lock was given up');
        const forbidden = deleted.some((index) => options.forbidden?.includes(index));
        const failed = deleted.filter((index) => options.stuck?.includes(index) || options.forbidden?.includes(index));
        for (const index of deleted) if (!failed.includes(index)) kit.deleted.push(messages[index]!.uidl);
        release();
        return forbidden ? { failed: failed.length, permanent: true } : { failed: failed.length };
      },
      distrust: () => undefined,
      noteLogin: () => void kit.logins++,
      release,
    };
    return { ok: true, drop };
  }

  const kit: Pop3Kit = {
    profile: { ...TEST_POP3_PROFILE, ...options.profile },
    logged: [],
    held: 0,
    logins: 0,
    reading: 0,
    deleted: [],
    ports: {
      hooks: { ...NO_HOOKS, ...options.hooks },
      maildrops: { open: () => later(open()) },
      retention: { ...NEVER, ...options.retention },
      buffers: BUFFERS,
      authenticator: createTestAuthenticator({
        names: ['alice', 'bob', 'jürgen'],
        password: 'secret word',
        throttled: 'mallory',
        forms: options.forms ?? {},
      }),
      clock: { now: () => 0, monotonic: () => 0, after: () => () => undefined },
      log,
      counters: { add: () => undefined },
    },
  };
  return kit;
}
