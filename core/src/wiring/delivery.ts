/** Puts delivery together: which class stands behind which of its ports, for one shard of the queue. */
import type { Config } from '@posthorn/config';
import { createDelivery, type Delivery } from '../delivery/loop.ts';
import type { IsSelf } from '../delivery/ports.ts';
import type { StsPolicies } from '../delivery/sts.ts';
import { createDirectory } from '../directory/domains.ts';
import type { User } from '../directory/directory.ts';
import type { Pipeline } from '../hook/contract.ts';
import type { Clock } from '../mail/clock.ts';
import type { Dns } from '../mail/dns.ts';
import { createLocalMailbox } from '../maildrop/deliver.ts';
import { createQuota, type Quota } from '../maildrop/quota.ts';
import type { Counters } from '../observe/counters.ts';
import type { Log } from '../observe/log.ts';
import type { Queue } from '../queue/queue.ts';
import { mailboxRules } from './mailbox-rules.ts';
import { ownAddresses } from './own-addresses.ts';

export interface DeliveryParts {
  readonly config: Config;
  readonly users: readonly User[];
  readonly hostname: string;
  readonly queue: Queue;
  readonly dns: Dns;
  readonly sts: StsPolicies;
  readonly pipeline: Pipeline;
  readonly newId: () => string;
  readonly isSelf: IsSelf;
  readonly clock: Clock;
  readonly log: Log;
  readonly counters: Counters;
}

/** A delivery whose settings change with the configuration. */
export interface WiredDelivery extends Omit<Delivery, 'reload'> {
  reload(config: Config, users: readonly User[]): void;
}

/** @returns the delivery of one shard; nothing is tried before its `start`. */
export function wireDelivery(parts: DeliveryParts): WiredDelivery {
  const { config, queue } = parts;
  let directory = createDirectory({ domains: config.domains, users: parts.users, ownAddresses: ownAddresses() });
  const root = `${config.data}/mail`;
  const quotaOf = (newConfig: Config, users: readonly User[]): Quota =>
    createQuota({
      root,
      quotaBytesOf: mailboxRules(newConfig.mailboxes, users).quotaBytesOf,
      whenFull: newConfig.mailboxes.whenFull,
      clock: parts.clock,
      log: parts.log,
    });
  let quota = quotaOf(config, parts.users);
  const delivery = createDelivery(
    {
      queue,
      mailbox: createLocalMailbox({
        root,
        refusal: (mailbox, sizeBytes) => quota.refusal(mailbox, sizeBytes),
        clock: parts.clock,
        log: parts.log,
      }),
      directory: {
        resolve: (address) => directory.resolve(address),
        user: (name) => directory.user(name),
        isOurs: (domain) => directory.isOurs(domain),
      },
      dns: parts.dns,
      sts: parts.sts,
      hooks: parts.pipeline,
      submitNotice: (envelope, bytes) =>
        queue.accept({
          id: envelope.id,
          envelope: Buffer.from(JSON.stringify(envelope)),
          pieces: [bytes],
          ...(envelope.priority === undefined ? {} : { priority: envelope.priority }),
        }),
      newId: parts.newId,
      isSelf: parts.isSelf,
      clock: parts.clock,
      log: parts.log,
      counters: parts.counters,
    },
    { config, hostname: parts.hostname },
  );
  return {
    ...delivery,
    reload(newConfig, users) {
      directory = createDirectory({ domains: newConfig.domains, users, ownAddresses: ownAddresses() });
      quota = quotaOf(newConfig, users);
      delivery.reload(newConfig);
    },
  };
}
