/**
 * What SCRAM shows of those who are users, so that it can show the like of those who are not (RFC 5802 §9). A user has one
 * salt for his name and all his addresses; so every login with a local part of his is shown it, at whatever domain, and
 * one local part with two salts is nobody's. Made at start and reload, used by proofs.ts.
 */
import type { User } from '../directory/directory.ts';
import { takeApart } from '../wire/address-key.ts';
import { parseScramKeys, SCRAM_ITERATIONS, SCRAM_SALT_BYTES, type ScramKeys } from './scram-keys.ts';

interface Form {
  readonly iterations: number;
  readonly saltBytes: number;
}

export class KnownSalts {
  readonly #byLocal = new Map<string, string>();
  /** Of most keys that are stored: invented ones are like them. */
  readonly usual: Form;

  constructor(users: readonly User[]) {
    // Where several users have one local part, who has it as his name comes first.
    for (const { name, scram } of users) this.#note(name, scram);
    for (const { addresses, scram } of users) for (const address of addresses) this.#note(address, scram);
    this.usual = commonest(users);
  }

  /** @param login a name or an address. @returns the keys of a user who has its local part; undefined: nobody has. */
  akinTo(login: string): ScramKeys | undefined {
    const stored = this.#byLocal.get(localOf(login));
    return stored === undefined ? undefined : parseScramKeys(stored);
  }

  #note(login: string, stored: string | undefined): void {
    const local = localOf(login);
    if (stored !== undefined && !this.#byLocal.has(local)) this.#byLocal.set(local, stored);
  }
}

/** @param login a name or an address. @returns what of it makes its salt. */
export function localOf(login: string): string {
  return takeApart(login)?.key ?? login.toLowerCase();
}

function commonest(users: readonly User[]): Form {
  const counts = new Map<string, { form: Form; users: number }>();
  let most = { form: { iterations: SCRAM_ITERATIONS, saltBytes: SCRAM_SALT_BYTES }, users: 0 };
  for (const { scram = '' } of users) {
    const keys = parseScramKeys(scram);
    if (keys === undefined) continue;
    const form = { iterations: keys.iterations, saltBytes: keys.salt.length };
    const key = `${form.iterations} ${form.saltBytes}`;
    const counted = { form, users: (counts.get(key)?.users ?? 0) + 1 };
    counts.set(key, counted);
    if (counted.users > most.users) most = counted;
  }
  return most.form;
}
