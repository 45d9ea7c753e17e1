/**
 * The port behind which users are kept elsewhere than in users.yaml: LDAP, an HTTP endpoint, a plugin of your own. The
 * supervisor asks for the list at start, at reload and now and then, so that mail finds its users without waiting; the
 * session threads ask whether a password is right. test/conformance/user-source.ts holds every source to this.
 */

export interface SourceUser {
  /** Login name, and folder of the maildrop. */
  readonly name: string;
  readonly addresses: readonly string[];
  /** Further addresses to write as: whole ones, `@domain`, or `*` (RFC 6409 §6.1). */
  readonly sendAs?: readonly string[];
  readonly quotaBytes?: number;
}

export interface UserSource {
  /** Everybody. Rejects when the source cannot be asked: nobody is thrown out for that. */
  list(): Promise<readonly SourceUser[]>;
  /**
   * @param name as in the list, or whatever a client said.
   * @returns false for a wrong password and for an unknown name alike, and after the same time. Rejects when it cannot be told now; the login gets
   *   a temporary refusal.
   */
  verify(name: string, password: string): Promise<boolean>;
}

/** What a package exports as `userSource` to be named under `auth.source`. */
export interface UserSourcePlugin {
  readonly name: string;
  readonly kind: 'user-source';
  /** @param options as in the configuration; paths of keys that end in `File` are absolute. Throws an Error that says what is wrong with them. */
  create(options: unknown): UserSource;
}
