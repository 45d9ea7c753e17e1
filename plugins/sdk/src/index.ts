/** All that a plugin file imports: `import { definePlugin, z } from '@posthorn/sdk'`. */
export { z } from 'zod';
export { definePlugin, type Plugin, type PluginContext, type PluginDefinition } from './define.ts';
export type * from '@posthorn/core/hook/contract';
export type { BytesPlace, MessageBytes } from '@posthorn/core/mail/message-bytes';
export type { Envelope, Origin, Recipient } from '@posthorn/core/mail/envelope';
export type { Clock } from '@posthorn/core/mail/clock';
export type { Dns } from '@posthorn/core/mail/dns';
export { DnsError } from '@posthorn/core/mail/dns';
export type { Log } from '@posthorn/core/observe/log';
export type {
  DeliveryState,
  ListedMessage,
  NewMessage,
  QueueStore,
  RecipientState,
  StoredMessage,
} from '@posthorn/core/queue/store';
export { StoreError } from '@posthorn/core/queue/store';
export type { SourceUser, UserSource, UserSourcePlugin } from '@posthorn/core/auth/user-source';
export type { StsPolicies, StsPolicy } from '@posthorn/core/delivery/sts';
export type { QueueStoreOptions, QueueStorePlugin } from './queue-store.ts';
