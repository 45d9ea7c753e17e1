/**
 * `posthorn mailbox export|import`: carries mail out of mailboxes and in. What cannot be read is told and left out, and the
 * exit code says so in the end.
 */
import { createReadStream, existsSync, statSync } from 'node:fs';
import { open, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { Config } from '@posthorn/config';
import type { MailboxImport } from '@posthorn/core/maildrop/import';
import { readUsers } from '../supervisor/settings.ts';
import { CliError, warn } from './common.ts';
import { countText, LeftOut, mailboxOf, placesIn, survey, userOf, type MailboxOptions } from './mailbox-common.ts';
import { plain } from './mailbox-text.ts';
import { wholeOutput } from './whole-output.ts';

const READ_BYTES = 256 * 1024;

/** @throws CliError when something was left out, or not all of it could be written. */
export async function exportTo(config: Config, user: string, target: string, options: MailboxOptions): Promise<void> {
  const { maildirInto, maildirToMbox } = await import('@posthorn/core/maildrop/transfer');
  const maildir = mailboxOf(config, user);
  if (options.maildir === true && target === '-')
    throw new CliError('a Maildir is a folder: give its name; without --maildir, - takes an mbox to standard output');
  const skipped = new LeftOut('message', 'messages');
  if (options.maildir === true) {
    const into = await importInto(target, false);
    await maildirInto(into, maildir, skipped.tell);
    const { messages, present } = await into.finish();
    warn(`${countText(messages)} exported, ${present} were there already`);
  } else if (target === '-') {
    warn(`${countText(await maildirToMbox(maildir, wholeOutput(), skipped.tell))} exported`);
  } else {
    warn(`${countText(await toFile(maildir, target, skipped.tell))} exported`);
  }
  skipped.fail();
}

/** A file that cannot be written to its end is no export: it goes. */
async function toFile(maildir: string, target: string, skipped: (path: string, error: unknown) => void): Promise<number> {
  const { maildirToMbox } = await import('@posthorn/core/maildrop/transfer');
  if (existsSync(target)) throw new CliError(`${target} is there already: give the name of a new file`);
  const file = await open(target, 'wx', 0o600);
  try {
    const count = await maildirToMbox(maildir, (bytes) => file.writeFile(bytes), skipped);
    await file.sync();
    return count;
  } catch (error) {
    await unlink(target);
    throw error;
  } finally {
    await file.close();
  }
}

/** @throws CliError when something was left out, or is no mbox or Maildir. */
export async function importFrom(config: Config, name: string, source: string, options: MailboxOptions): Promise<void> {
  const { maildirInto, mboxInto } = await import('@posthorn/core/maildrop/transfer');
  // Who is kept elsewhere has no folder before his first message.
  const maildir = mailboxOf(config, name, config.auth.source !== null);
  const isFolder = source !== '-' && statSync(source).isDirectory();
  if (isFolder && !['new', 'cur'].every((folder) => existsSync(join(source, folder))))
    throw new CliError(`${source} is no Maildir: it has no new and cur`);
  const dryRun = options.dryRun === true;
  const into = await importInto(maildir, dryRun);
  const skipped = new LeftOut('message', 'messages');
  try {
    if (isFolder) await maildirInto(into, source, skipped.tell);
    else await mboxInto(into, source === '-' ? standardInput() : createReadStream(source, { highWaterMark: READ_BYTES }));
  } finally {
    // What came before an error is there to stay.
    const { messages, bytes, present } = await into.finish();
    process.stdout.write(
      `${countText(messages)} (${bytes} bytes) ${dryRun ? 'would be imported' : 'imported'}, ${present} were there already\n`,
    );
    if (!dryRun) await tellIfFull(config, name, maildir);
  }
  skipped.fail();
}

/** A file may be an mbox without a message; nothing at all on standard input is a slip, or another program's failure. */
async function* standardInput(): AsyncGenerator<Buffer> {
  let isEmpty = true;
  for await (const chunk of process.stdin) {
    isEmpty = false;
    yield chunk as Buffer;
  }
  if (isEmpty) throw new CliError('nothing came on standard input: expected an mbox, which begins with "From "');
}

/** An import is the operator's own wish and brings all of it: he is told what it means for mail that comes. */
async function tellIfFull(config: Config, name: string, maildir: string): Promise<void> {
  const { mailboxRules } = await import('@posthorn/core/wiring/mailbox-rules');
  const users = readUsers(config);
  const quotaBytes = mailboxRules(config.mailboxes, users).quotaBytesOf(userOf(users, name) ?? name);
  if (quotaBytes === null) return;
  let bytes = 0;
  for await (const { fileBytes } of survey(await placesIn(maildir), new LeftOut('message', 'messages').tell)) bytes += fileBytes;
  if (bytes < quotaBytes) return;
  const answer = config.mailboxes.whenFull === 'reject' ? 'rejected' : 'deferred';
  warn(`${plain(name)} now holds ${bytes} bytes of a quota of ${quotaBytes}: mail that comes is ${answer} until there is room`);
}

async function importInto(maildir: string, dryRun: boolean): Promise<MailboxImport> {
  const { MailboxImport } = await import('@posthorn/core/maildrop/import');
  return MailboxImport.into({ maildir, dryRun, nowMs: Date.now() });
}
