/**
 * Who gets mail here: domains, users, aliases. Asked by SMTP at RCPT, by delivery for routes, by auth for users.
 * Built from the configuration as a whole and swapped as a whole on reload.
 */

/** A user of users.yaml. */
export interface User {
  readonly name: string;
  /** `$argon2id$…` PHC string; without it no login by a password. */
  readonly passwordHash?: string;
  /** Kept by the user source (auth/user-source), which is asked about passwords. */
  readonly elsewhere?: true;
  /** `SCRAM-SHA-256$…`: see auth/scram-keys.ts. */
  readonly scram?: string;
  /** A password in clear, for CRAM-MD5 and APOP. */
  readonly secret?: string;
  /** SHA-256 fingerprints of certificates, `AB:CD:…`; given, these alone log in by EXTERNAL, and with none no certificate does. */
  readonly certificates?: readonly string[];
  readonly addresses: readonly string[];
  /** Other addresses the user may write as: whole ones, `@domain`, or `*` for any. */
  readonly sendAs?: readonly string[];
  /** In place of `mailboxes.quotaBytes`; null: no quota. */
  readonly quotaBytes?: number | null;
  /** In place of `mailboxes.retentionDays`; null: mail stays. */
  readonly retentionDays?: number | null;
}

/** Where an address leads after aliases: a mailbox here, or an address elsewhere. */
export type Target =
  | { readonly to: 'mailbox'; readonly mailbox: string; readonly address: string }
  | { readonly to: 'address'; readonly address: string };

export type Resolution =
  /** One of our domains, and somebody is there. */
  | { readonly is: 'known'; readonly targets: readonly Target[] }
  /** One of our domains that another server keeps (`deliver: smtp://…`, `lmtp:…`): taken without knowing its users. */
  | { readonly is: 'forwarded' }
  /** One of our domains, nobody there: 550 5.1.1. */
  | { readonly is: 'unknown' }
  /** Not ours: only for those who may relay. */
  | { readonly is: 'foreign' };

export interface Directory {
  /** `address` as in RCPT without brackets; `postmaster` without a domain is known. Bounded alias depth. */
  resolve(address: string): Resolution;
  user(name: string): User | undefined;
  /** True when the domain (lower case, A-labels) is one of ours. */
  isOurs(domain: string): boolean;
}

/**
 * May this user write as `address`? `login`: what leads to the user's mailbox (addresses, their tags, aliases, a catch-all),
 * is the login name, or stands in `sendAs`. `domain`: whatever has the domain of an address of these.
 */
export type MayWriteAs = (user: string, address: string, scope: 'login' | 'domain') => boolean;
