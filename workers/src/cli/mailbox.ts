/**
 * `posthorn mailbox list|show|export|import`: looks into mailboxes, and carries mail in and out. Works on the folders
 * themselves, beside the running server or without one, and takes no lock: a client that has the maildrop open sees what
 * an import brought the next time.
 */
import { createReadStream, existsSync, readdirSync, statSync } from 'node:fs';
import { open, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { Config } from '@posthorn/config';
import type { User } from '@posthorn/core/directory/directory';
import type { MailboxImport } from '@posthorn/core/maildrop/import';
import type { ListedMessage } from '@posthorn/core/maildrop/listing';
import { maildirOf } from '@posthorn/core/maildrop/user-folder';
import type { Whereabouts } from '@posthorn/core/maildrop/whereabouts';
import { type Command, Option } from 'commander';
import { readUsers } from '../supervisor/settings.ts';
import { CliError, CONFIG_OPTION, configOf, warn } from './common.ts';
import { listLine, plain, readHead, showLine, type MailboxSize } from './mailbox-text.ts';

interface Options {
  readonly config?: string;
  readonly json?: true;
  readonly last?: number;
  readonly maildir?: true;
  readonly dryRun?: true;
}

const MAILDIR_OPTION = new Option('--maildir', 'a Maildir instead of an mbox');
const READ_BYTES = 256 * 1024;

export function addMailbox(program: Command): void {
  const mailbox = program.command('mailbox').description('look into mailboxes, and carry mail in and out');
  mailbox
    .command('list')
    .description('every mailbox: messages and bytes; of users, and what was left by those that are gone')
    .option('--json', 'as JSON lines')
    .option(...CONFIG_OPTION)
    .action((options: Options) => list(configOf(options), options));
  mailbox
    .command('show')
    .description('the messages of a mailbox, as POP3 numbers them')
    .argument('<user>')
    .addOption(new Option('--last <count>', 'so many of them').default(50).argParser(parseCount))
    .option('--json', 'as JSON lines')
    .option(...CONFIG_OPTION)
    .action((user: string, options: Options) => show(configOf(options), user, options));
  mailbox
    .command('export')
    .description('write a mailbox into a new mbox file, or into a Maildir')
    .argument('<user>')
    .argument('<target>', 'file to make, - for standard output; with --maildir a folder')
    .addOption(MAILDIR_OPTION)
    .option(...CONFIG_OPTION)
    .action((user: string, target: string, options: Options) => exportTo(configOf(options), user, target, options));
  mailbox
    .command('import')
    .description('put the messages of an mbox or a Maildir into a mailbox; done again, it brings what is missing')
    .argument('<user>')
    .argument('<source>', 'mbox file, - for standard input, or Maildir')
    .option('-n, --dry-run', 'only say what would be done')
    .option(...CONFIG_OPTION)
    .action((user: string, source: string, options: Options) => importFrom(configOf(options), user, source, options));
}

async function list(config: Config, options: Options): Promise<void> {
  const users = new Set(readUsers(config).map(({ name }) => name));
  const root = rootOf(config);
  const folders = existsSync(root) ? readdirSync(root) : [];
  for (const user of [...new Set([...users, ...folders])].sort()) {
    const maildir = maildirOf(root, user);
    if (maildir === undefined || (!users.has(user) && !existsSync(maildir))) continue;
    const found: MailboxSize = { user, messages: 0, bytes: 0, known: users.has(user) };
    for await (const { fileBytes } of survey(await placesIn(maildir))) {
      found.messages += 1;
      found.bytes += fileBytes;
    }
    process.stdout.write(options.json === true ? `${JSON.stringify(found)}\n` : listLine(found));
  }
}

async function show(config: Config, user: string, { json, last = 0 }: Options): Promise<void> {
  const maildir = mailboxOf(config, user);
  const places = await placesIn(maildir);
  const kept: { number: number; message: ListedMessage }[] = [];
  let number = 0;
  for await (const message of survey(places)) {
    kept.push({ number: ++number, message });
    if (kept.length > last) kept.shift();
  }
  for (const { number: at, message } of kept) {
    const opened = await places.open(message);
    if (opened === undefined) continue;
    const { file } = opened;
    try {
      const { uidl, sizeBytes } = message;
      const shown = { number: at, uidl, sizeBytes, arrivedAtMs: (await file.stat()).mtimeMs, ...(await readHead(file)) };
      process.stdout.write(json === true ? `${JSON.stringify(shown)}\n` : showLine(shown));
    } finally {
      await file.close();
    }
  }
  if (number === 0 && json !== true) process.stdout.write('the mailbox is empty\n');
  else if (number > kept.length) warn(`${number - kept.length} older messages are not shown; --last shows more`);
}

async function exportTo(config: Config, user: string, target: string, options: Options): Promise<void> {
  const { maildirInto, maildirToMbox } = await import('@posthorn/core/maildrop/transfer');
  const maildir = mailboxOf(config, user);
  const skipped = skippedCounter();
  if (options.maildir === true) {
    const into = await importInto(target, false);
    await maildirInto(into, maildir, skipped.tell);
    const { messages, present } = await into.finish();
    warn(`${countText(messages)} exported, ${present} were there already`);
  } else if (target === '-') {
    // The reader sets the pace.
    const write = (bytes: Uint8Array) =>
      new Promise<void>((resolve) => void process.stdout.write(Buffer.from(bytes), () => resolve()));
    warn(`${countText(await maildirToMbox(maildir, write, skipped.tell))} exported`);
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

async function importFrom(config: Config, name: string, source: string, options: Options): Promise<void> {
  const { maildirInto, mboxInto } = await import('@posthorn/core/maildrop/transfer');
  // Who is kept elsewhere has no folder before his first message.
  const maildir = mailboxOf(config, name, config.auth.source !== null);
  const isFolder = source !== '-' && statSync(source).isDirectory();
  if (isFolder && !['new', 'cur'].every((folder) => existsSync(join(source, folder))))
    throw new CliError(`${source} is no Maildir: it has no new and cur`);
  const dryRun = options.dryRun === true;
  const into = await importInto(maildir, dryRun);
  const skipped = skippedCounter();
  try {
    if (isFolder) await maildirInto(into, source, skipped.tell);
    else await mboxInto(into, source === '-' ? process.stdin : createReadStream(source, { highWaterMark: READ_BYTES }));
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

/** An import is the operator's own wish and brings all of it: he is told what it means for mail that comes. */
async function tellIfFull(config: Config, name: string, maildir: string): Promise<void> {
  const { mailboxRules } = await import('@posthorn/core/wiring/mailbox-rules');
  const users = readUsers(config);
  const quotaBytes = mailboxRules(config.mailboxes, users).quotaBytesOf(userOf(users, name) ?? name);
  if (quotaBytes === null) return;
  let bytes = 0;
  for await (const { fileBytes } of survey(await placesIn(maildir))) bytes += fileBytes;
  if (bytes < quotaBytes) return;
  const answer = config.mailboxes.whenFull === 'reject' ? 'rejected' : 'deferred';
  warn(`${plain(name)} now holds ${bytes} bytes of a quota of ${quotaBytes}: mail that comes is ${answer} until there is room`);
}

function rootOf(config: Config): string {
  return join(config.data, 'mail');
}

function userOf(users: readonly User[], name: string): string | undefined {
  return users.find((one) => one.name.toLowerCase() === name.toLowerCase())?.name;
}

/** @throws CliError when there is neither such a user nor a folder, unless `anybody` may be one. */
function mailboxOf(config: Config, name: string, anybody = false): string {
  const user = userOf(readUsers(config), name);
  const maildir = maildirOf(rootOf(config), user ?? name);
  if (maildir === undefined || (user === undefined && !anybody && !existsSync(maildir)))
    throw new CliError(`there is no user ${name}, and no mailbox of that name`);
  return maildir;
}

async function placesIn(maildir: string): Promise<Whereabouts> {
  const { Whereabouts } = await import('@posthorn/core/maildrop/whereabouts');
  return new Whereabouts(maildir);
}

async function* survey(places: Whereabouts): AsyncGenerator<ListedMessage> {
  const { surveyMaildir } = await import('@posthorn/core/maildrop/survey');
  yield* surveyMaildir(places, (path, error) => warn(plain(`${path} is left out: ${String(error)}`)));
}

async function importInto(maildir: string, dryRun: boolean): Promise<MailboxImport> {
  const { MailboxImport } = await import('@posthorn/core/maildrop/import');
  return MailboxImport.into({ maildir, dryRun, nowMs: Date.now() });
}

/** Tells what is left out at once, and in the end by the exit code. */
function skippedCounter() {
  let count = 0;
  return {
    tell: (path: string, error: unknown): void => {
      count++;
      warn(plain(`${path} is left out: ${String(error)}`));
    },
    fail: (): void => {
      if (count > 0) throw new CliError(`${countText(count)} could not be read`);
    },
  };
}

function countText(count: number): string {
  return count === 1 ? '1 message' : `${count} messages`;
}

function parseCount(text: string): number {
  if (!/^[1-9]\d{0,6}$/.test(text)) throw new CliError(`expected a number of messages, found "${text}"`);
  return Number(text);
}
