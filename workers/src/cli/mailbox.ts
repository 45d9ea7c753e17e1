/**
 * `posthorn mailbox list|show|export|import`: looks into mailboxes, and carries mail in and out (mailbox-carry.ts). Works on
 * the folders themselves, beside the running server or without one, and takes no lock: a client that has the maildrop open
 * sees what an import brought the next time.
 */
import { existsSync, readdirSync, statSync } from 'node:fs';
import type { Config } from '@posthorn/config';
import type { ListedMessage } from '@posthorn/core/maildrop/listing';
import { maildirOf } from '@posthorn/core/maildrop/user-folder';
import type { Whereabouts } from '@posthorn/core/maildrop/whereabouts';
import { type Command, Option } from 'commander';
import { readUsers } from '../supervisor/settings.ts';
import { CliError, CONFIG_OPTION, configOf, warn } from './common.ts';
import { exportTo, importFrom } from './mailbox-carry.ts';
import { LeftOut, mailboxOf, placesIn, rootOf, survey, type MailboxOptions } from './mailbox-common.ts';
import { listLine, readHead, showLine, type MailboxSize, type ShownMessage } from './mailbox-text.ts';

const MAILDIR_OPTION = new Option('--maildir', 'a Maildir instead of an mbox');

export function addMailbox(program: Command): void {
  const mailbox = program.command('mailbox').description('look into mailboxes, and carry mail in and out');
  mailbox
    .command('list')
    .description('every mailbox: messages and bytes; of users, and what was left by those that are gone')
    .option('--json', 'as JSON lines')
    .option(...CONFIG_OPTION)
    .action((options: MailboxOptions) => list(configOf(options), options));
  mailbox
    .command('show')
    .description('the messages of a mailbox, as POP3 numbers them')
    .argument('<user>')
    .addOption(new Option('--last <count>', 'so many of them').default(50).argParser(parseCount))
    .option('--json', 'as JSON lines')
    .option(...CONFIG_OPTION)
    .action((user: string, options: MailboxOptions) => show(configOf(options), user, options));
  mailbox
    .command('export')
    .description('write a mailbox into a new mbox file, or into a Maildir')
    .argument('<user>')
    .argument('<target>', 'file to make, - for standard output; with --maildir a folder')
    .addOption(MAILDIR_OPTION)
    .option(...CONFIG_OPTION)
    .action((user: string, target: string, options: MailboxOptions) => exportTo(configOf(options), user, target, options));
  mailbox
    .command('import')
    .description('put the messages of an mbox or a Maildir into a mailbox; done again, it brings what is missing')
    .argument('<user>')
    .argument('<source>', 'mbox file, - for standard input, or Maildir')
    .option('-n, --dry-run', 'only say what would be done')
    .option(...CONFIG_OPTION)
    .action((user: string, source: string, options: MailboxOptions) => importFrom(configOf(options), user, source, options));
}

async function list(config: Config, { json }: MailboxOptions): Promise<void> {
  const users = new Set(readUsers(config).map(({ name }) => name));
  const root = rootOf(config);
  const folders = existsSync(root) ? readdirSync(root) : [];
  const messages = new LeftOut('message', 'messages');
  const mailboxes = new LeftOut('mailbox', 'mailboxes');
  for (const user of [...new Set([...users, ...folders])].sort()) {
    const maildir = maildirOf(root, user);
    if (maildir === undefined) continue;
    try {
      const known = users.has(user);
      if (!known && statSync(maildir, { throwIfNoEntry: false }) === undefined) continue;
      const found: MailboxSize = { user, messages: 0, bytes: 0, known };
      for await (const { fileBytes } of survey(await placesIn(maildir), messages.tell)) {
        found.messages += 1;
        found.bytes += fileBytes;
      }
      process.stdout.write(json === true ? `${JSON.stringify(found)}\n` : listLine(found));
    } catch (error) {
      // Everyone after it is to be seen all the same.
      mailboxes.tell(user, error);
    }
  }
  mailboxes.fail();
  messages.fail();
}

async function show(config: Config, user: string, { json, last = 0 }: MailboxOptions): Promise<void> {
  const places = await placesIn(mailboxOf(config, user));
  const leftOut = new LeftOut('message', 'messages');
  const kept: { number: number; message: ListedMessage }[] = [];
  let number = 0;
  for await (const message of survey(places, leftOut.tell)) {
    kept.push({ number: ++number, message });
    if (kept.length > last) kept.shift();
  }
  for (const { number: at, message } of kept) {
    try {
      const shown = await shownAs(places, at, message);
      if (shown !== undefined) process.stdout.write(json === true ? `${JSON.stringify(shown)}\n` : showLine(shown));
    } catch (error) {
      leftOut.tell(`${at}  ${places.pathOf(message)}`, error);
    }
  }
  if (number === 0 && leftOut.none && json !== true) process.stdout.write('the mailbox is empty\n');
  else if (number > kept.length) warn(`${number - kept.length} older messages are not shown; --last shows more`);
  leftOut.fail();
}

/** @returns undefined when it was deleted meanwhile. @throws when it cannot be read. */
async function shownAs(places: Whereabouts, number: number, message: ListedMessage): Promise<ShownMessage | undefined> {
  const opened = await places.open(message);
  if (opened === undefined) return undefined;
  const { file } = opened;
  try {
    const { uidl, sizeBytes } = message;
    return { number, uidl, sizeBytes, arrivedAtMs: (await file.stat()).mtimeMs, ...(await readHead(file)) };
  } finally {
    await file.close();
  }
}

function parseCount(text: string): number {
  if (!/^[1-9]\d{0,6}$/.test(text)) throw new CliError(`expected a number of messages, found "${text}"`);
  return Number(text);
}
