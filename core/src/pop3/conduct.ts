/** Counts what a client does that leads nowhere, and says when it is too much. Part of a conversation. */
import type { Pop3Profile } from './ports.ts';

export class Conduct {
  /** Commands answered by -ERR that were the client's doing. */
  errors = 0;
  unknown = 0;
  /** Commands that do nothing, since the last one of another kind. */
  idle = 0;
  readonly #profile: Pop3Profile;

  constructor(profile: Pop3Profile) {
    this.#profile = profile;
  }

  /** Why the session has to end, and the counter that tells of it. */
  get excess(): { readonly endedBy: string; readonly counter: string } | undefined {
    const { maxErrors, maxUnknownCommands, maxIdleCommands } = this.#profile;
    if (this.errors >= maxErrors) return { endedBy: 'too many errors', counter: 'pop3.too-many-errors' };
    if (this.unknown > maxUnknownCommands || this.idle > maxIdleCommands) {
      return { endedBy: 'too many commands that do nothing', counter: 'pop3.too-many-commands' };
    }
    return undefined;
  }
}
