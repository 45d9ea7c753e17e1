/** What the commands for mailboxes share: where one lies, what is in it, and what could not be read. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Config } from '@posthorn/config';
import type { User } from '@posthorn/core/directory/directory';
import type { ListedMessage } from '@posthorn/core/maildrop/listing';
import type { Skipped } from '@posthorn/core/maildrop/size-index';
import { maildirOf } from '@posthorn/core/maildrop/user-folder';
import type { Whereabouts } from '@posthorn/core/maildrop/whereabouts';
import { readUsers } from '../supervisor/settings.ts';
import { CliError, warn } from './common.ts';
import { plain } from './mailbox-text.ts';

export interface MailboxOptions {
  readonly config?: string;
  readonly json?: true;
  readonly last?: number;
  readonly maildir?: true;
  readonly dryRun?: true;
}

export function rootOf(config: Config): string {
  return join(config.data, 'mail');
}

export function userOf(users: readonly User[], name: string): string | undefined {
  return users.find((one) => one.name.toLowerCase() === name.toLowerCase())?.name;
}

/** @throws CliError when there is neither such a user nor a folder, unless `anybody` may be one. */
export function mailboxOf(config: Config, name: string, anybody = false): string {
  const user = userOf(readUsers(config), name);
  const maildir = maildirOf(rootOf(config), user ?? name);
  if (maildir === undefined || (user === undefined && !anybody && !existsSync(maildir)))
    throw new CliError(`there is no user ${name}, and no mailbox of that name`);
  return maildir;
}

export async function placesIn(maildir: string): Promise<Whereabouts> {
  const { Whereabouts } = await import('@posthorn/core/maildrop/whereabouts');
  return new Whereabouts(maildir);
}

/** All messages in the order of their numbers. @param skipped told of what cannot be read. */
export async function* survey(places: Whereabouts, skipped: Skipped): AsyncGenerator<ListedMessage> {
  const { surveyMaildir } = await import('@posthorn/core/maildrop/survey');
  yield* surveyMaildir(places, skipped);
}

/** Tells what is left out at once, and in the end by the exit code. */
export class LeftOut {
  readonly #what: string;
  readonly #many: string;
  #count = 0;

  /** @param what one of them is called. @param many how several are. */
  constructor(what: string, many: string) {
    this.#what = what;
    this.#many = many;
  }

  get none(): boolean {
    return this.#count === 0;
  }

  /** @param name what it is, or its path. */
  readonly tell = (name: string, error: unknown): void => {
    this.#count++;
    warn(plain(`${name} is left out: ${error instanceof Error ? error.message : String(error)}`));
  };

  /** @throws CliError when there was any. */
  fail(): void {
    if (this.#count > 0) throw new CliError(`${this.#count} ${this.#count === 1 ? this.#what : this.#many} could not be read`);
  }
}

export function countText(count: number): string {
  return count === 1 ? '1 message' : `${count} messages`;
}
