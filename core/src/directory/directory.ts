/**
 * Who gets mail here: domains, users, aliases. Asked by SMTP at RCPT, by delivery for routes, by auth for users.
 * Built from the configuration as a whole and swapped as a whole on reload.
 */

/** A user of users.yaml. */
export interface User {
  readonly name: string;
  /** `$argon2id$…` PHC string. */
  readonly passwordHash: string;
  readonly addresses: readonly string[];
  readonly quotaBytes?: number;
}

/** Where an address leads after aliases: a mailbox here, or an address elsewhere. */
export type Target =
  | { readonly to: 'mailbox'; readonly mailbox: string; readonly address: string }
  | { readonly to: 'address'; readonly address: string };

export type Resolution =
  /** One of our domains, and somebody is there. */
  | { readonly is: 'known'; readonly targets: readonly Target[] }
  /** One of our domains that another server keeps (`deliver: smtp://…`): taken without knowing its users. */
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
