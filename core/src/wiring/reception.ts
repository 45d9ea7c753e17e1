/**
 * Which class stands behind which port of a session thread: the one place where SMTP and POP3 sessions are put
 * together. Composed once for each set of settings; making a session afterwards looks nothing up.
 */
import 'reflect-metadata';
import { Container } from 'inversify';
import type { Config, ListenerConfig } from '@posthorn/config';
import type { Authenticator, LoginForms } from '../auth/authenticator.ts';
import { KnownSalts } from '../auth/known-salts.ts';
import { createDirectory } from '../directory/domains.ts';
import type { User } from '../directory/directory.ts';
import type { ListenerSettings, Peer } from '../dispatch/listener.ts';
import { type Pipeline, STAGES } from '../hook/contract.ts';
import { createScoring } from '../hook/scoring.ts';
import type { Clock } from '../mail/clock.ts';
import { createQuota } from '../maildrop/quota.ts';
import { createMaildropOpener } from '../maildrop/opener.ts';
import { BufferPool } from '../wire/buffer-pool.ts';
import type { Counters } from '../observe/counters.ts';
import type { Log } from '../observe/log.ts';
import { createPop3Session } from '../pop3/session.ts';
import type { Pop3Ports, Pop3Profile } from '../pop3/ports.ts';
import { createSmtpSession } from '../smtp/session.ts';
import type { MessageSink, SmtpPorts, SmtpProfile } from '../smtp/ports.ts';
import { createAddressMatcher } from './addresses.ts';
import { mailboxRules } from './mailbox-rules.ts';
import { Names } from './names.ts';
import { ownAddresses } from './own-addresses.ts';

/** What the thread brings; everything else is made here. */
export interface ReceptionParts {
  readonly config: Config;
  readonly users: readonly User[];
  /** Lives as long as the thread, so that a reload forgets neither logins nor lock-outs. */
  readonly authenticator: Authenticator;
  readonly hostname: string;
  readonly pipeline: Pipeline;
  readonly sink: MessageSink;
  readonly newId: () => string;
  readonly threadTag: string;
  /** Of open maildrops; the same for every process on this data. */
  readonly lockDirectory: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly counters: Counters;
}

/** Makes sessions for the listeners of one set of settings. */
export interface Reception {
  /** A user by today's configuration. */
  user(name: string): User | undefined;
  /** The one user for whom a client certificate with this fingerprint is noted. */
  holder(fingerprint256: string): User | undefined;
  /** What SCRAM shows of its users. */
  readonly knownSalts: KnownSalts;
  /** What its users can log in with. */
  readonly forms: LoginForms;
  /** @returns what a connection of this listener needs to make its session. */
  sessionsFor(listener: ListenerConfig): ListenerSettings['open'];
}

/** For listeners with `plugins: false`. */
const NO_HOOKS = Object.fromEntries(STAGES.map((stage) => [stage, null])) as Pipeline;

/** @returns the reception of these settings; throws what a part throws on impossible settings. */
export function wireReception(parts: ReceptionParts): Reception {
  const container = new Container({ defaultScope: 'Singleton' });
  const { config } = parts;
  container.bind(Names.config).toConstantValue(config);
  container.bind(Names.clock).toConstantValue(parts.clock);
  container.bind(Names.log).toConstantValue(parts.log);
  container.bind(Names.counters).toConstantValue(parts.counters);
  container.bind(Names.newId).toConstantValue(parts.newId);
  container.bind(Names.pipeline).toConstantValue(parts.pipeline);
  container.bind(Names.sink).toConstantValue(parts.sink);
  const directory = createDirectory({ domains: config.domains, users: parts.users, ownAddresses: ownAddresses() });
  container.bind(Names.directory).toConstantValue(directory);
  container.bind(Names.mayWriteAs).toConstantValue(directory.mayWriteAs);
  const rules = mailboxRules(config.mailboxes, parts.users);
  const quota = createQuota({
    root: `${config.data}/mail`,
    quotaBytesOf: rules.quotaBytesOf,
    whenFull: config.mailboxes.whenFull,
    clock: parts.clock,
    log: parts.log,
  });
  container.bind(Names.full).toConstantValue(quota.full);
  container.bind(Names.retention).toConstantValue(rules);
  container.bind(Names.scoring).toDynamicValue(() => createScoring(config.scoring));
  container.bind(Names.mayRelay).toDynamicValue(() => createAddressMatcher(config.relay.from));
  container.bind(Names.authenticator).toConstantValue(parts.authenticator);
  container.bind(Names.buffers).toDynamicValue(() => new BufferPool());
  container.bind(Names.maildrops).toDynamicValue((context) =>
    createMaildropOpener({
      root: `${config.data}/mail`,
      lockDirectory: parts.lockDirectory,
      tag: parts.threadTag,
      buffers: context.get(Names.buffers),
      loginDelayMs: config.pop3.loginDelay,
      clock: parts.clock,
      log: parts.log,
    }),
  );
  container.bind(Names.smtpPorts).toDynamicValue((context): SmtpPorts => ({
    hooks: context.get(Names.pipeline),
    sink: context.get(Names.sink),
    directory: context.get(Names.directory),
    mayWriteAs: context.get(Names.mayWriteAs),
    full: context.get(Names.full),
    authenticator: context.get(Names.authenticator),
    mayRelay: context.get(Names.mayRelay),
    mayXclient: () => false,
    mayXforward: () => false,
    scoring: context.get(Names.scoring),
    newId: parts.newId,
    clock: parts.clock,
    log: parts.log,
    counters: parts.counters,
  }));
  container.bind(Names.pop3Ports).toDynamicValue((context): Pop3Ports => ({
    hooks: context.get(Names.pipeline),
    maildrops: context.get(Names.maildrops),
    retention: context.get(Names.retention),
    buffers: context.get(Names.buffers),
    authenticator: context.get(Names.authenticator),
    clock: parts.clock,
    log: parts.log,
    counters: parts.counters,
  }));
  const smtp = container.get(Names.smtpPorts);
  const pop3 = container.get(Names.pop3Ports);

  const holders = holdersOf(parts.users);
  return {
    user: (name) => directory.user(name),
    holder: (fingerprint256) => holders.get(fingerprint256),
    knownSalts: new KnownSalts(parts.users),
    forms: formsOf(config, parts.users),
    sessionsFor(listener) {
      const hooks = listener.plugins ? parts.pipeline : NO_HOOKS;
      const common = {
        listener: listener.name,
        hostname: parts.hostname,
        starttls: listener.tls === 'starttls',
        requireTls: listener.requireTls,
        plaintextLogin: listener.plaintextLogin,
      };
      if (listener.protocol === 'pop3') {
        const profile: Pop3Profile = {
          ...common,
          loginDelayMs: config.pop3.loginDelay,
          language: config.pop3.language,
          maxLineBytes: listener.limits.maxLineBytes,
          maxErrors: listener.limits.maxErrors,
          maxUnknownCommands: listener.limits.maxUnknownCommands,
          maxIdleCommands: listener.limits.maxIdleCommands,
        };
        const ports: Pop3Ports = { ...pop3, hooks };
        return (peer: Peer, output) => createPop3Session(ports, profile, peer, output);
      }
      const profile: SmtpProfile = {
        ...common,
        kind: listener.protocol,
        earlyTalkers: listener.earlyTalkers,
        bareLineEnds: listener.bareLineEnds,
        senderMustMatch: listener.senderMustMatch,
        hideClient: listener.hideClient,
        vrfy: listener.vrfy,
        requests: {
          dsn: listener.requests.dsn,
          minDeliverBySeconds: listener.requests.minDeliverBy === null ? null : listener.requests.minDeliverBy / 1000,
          maxHoldSeconds: Math.floor(listener.requests.maxHold / 1000),
          priority: listener.requests.priority,
          requireTls: listener.requests.requireTls,
        },
        limits: {
          ...listener.limits,
          maxMessageBytes: listener.maxMessageBytes,
          maxRecipients: listener.maxRecipients,
          maxRecipientDomains: listener.maxRecipientDomains,
          errorDelayMs: listener.limits.errorDelay,
          bannerDelayMs: listener.limits.bannerDelay,
          // What a spilled message keeps of itself in memory: a longer header would escape edits and checks.
          maxHeaderBytes: Math.min(listener.limits.maxHeaderBytes, config.throughput.spillBytes),
        },
      };
      const ports: SmtpPorts = {
        ...smtp,
        hooks,
        mayXclient: createAddressMatcher(listener.xclientFrom),
        mayXforward: createAddressMatcher(listener.xforwardFrom),
      };
      return (peer: Peer, output) => createSmtpSession(ports, profile, peer, output);
    },
  };
}

/** By fingerprint. A certificate that is noted for several users says of none of them that it is his. */
function holdersOf(users: readonly User[]): ReadonlyMap<string, User | undefined> {
  const holders = new Map<string, User | undefined>();
  for (const user of users) {
    for (const one of new Set(user.certificates)) holders.set(one, holders.has(one) ? undefined : user);
  }
  return holders;
}

/**
 * A password is always announced: what nobody can log in with yet is no reason to tell clients that nobody ever will.
 * SCRAM only when everybody with a password can use it: clients choose the strongest and ask for no other.
 */
function formsOf({ auth }: Config, users: readonly User[]): LoginForms {
  const withPassword = users.filter(
    (user) => user.passwordHash !== undefined || user.scram !== undefined || user.elsewhere === true,
  );
  return {
    password: true,
    secret: users.some((user) => user.secret !== undefined),
    scram: withPassword.length > 0 && withPassword.every((user) => user.scram !== undefined),
    bearer: auth.oauth !== null,
    ...(auth.mechanisms === null ? {} : { allowed: auth.mechanisms }),
  };
}
