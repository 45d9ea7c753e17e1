/**
 * Carries all messages of one place to another: mbox or Maildir into a Maildir, Maildir into an mbox. A message at a
 * time, a chunk at a time. A message that cannot be read is told and left out; what cannot be written is the caller's error.
 */
import { formatFromLine } from './from-line.ts';
import { parseMessageName } from './file-name.ts';
import type { MailboxImport } from './import.ts';
import type { ListedMessage, MessageFolder } from './listing.ts';
import { MboxBody } from './mbox-body.ts';
import { MboxStatus, formatStatus } from './mbox-status.ts';
import { MboxSplitter, type MboxPart } from './mbox-splitter.ts';
import type { Skipped } from './size-index.ts';
import { surveyMaildir, wireBytesOf } from './survey.ts';
import { Whereabouts, type OpenMessage } from './whereabouts.ts';

/** As much of a message as is looked at for its Return-Path. */
const HEAD_BYTES = 4096;

/** @throws Error when it is no mbox, and when the file system fails. */
export async function mboxInto(into: MailboxImport, mbox: AsyncIterable<Buffer>): Promise<void> {
  const splitter = new MboxSplitter();
  let status: MboxStatus | undefined;
  const endMessage = async (): Promise<void> => {
    if (status === undefined) return;
    await into.write(status.end());
    await into.end(status.flags);
  };
  const take = async (parts: readonly MboxPart[]): Promise<void> => {
    for (const part of parts) {
      if ('bytes' in part) {
        if (status !== undefined) await into.write(status.push(part.bytes));
        continue;
      }
      await endMessage();
      status = new MboxStatus();
      await into.begin({ dateMs: part.dateMs });
    }
  };
  try {
    for await (const chunk of mbox) await take(splitter.push(chunk));
    await take(splitter.end());
    await endMessage();
  } catch (error) {
    await into.drop();
    throw error;
  }
}

/** @throws when the file system of the target fails, or a folder of the source cannot be read. */
export async function maildirInto(into: MailboxImport, source: string, skipped: Skipped): Promise<void> {
  const places = new Whereabouts(source);
  for await (const message of surveyMaildir(places, skipped)) {
    await withMessage(places, message, skipped, async ({ file, folder, name }, dateMs) => {
      const { unique } = parseMessageName(name);
      await into.begin({ dateMs, unique });
      try {
        for await (const chunk of wireBytesOf(file)) await into.write(chunk);
        await into.end(flagsOf(folder, name));
      } catch (error) {
        await into.drop();
        throw error;
      }
    });
  }
}

/**
 * @param write takes the bytes of the mbox; each chunk is good until it resolves.
 * @returns how many messages were written. @throws as `maildirInto` does.
 */
export async function maildirToMbox(
  source: string,
  write: (bytes: Uint8Array) => Promise<void>,
  skipped: Skipped,
): Promise<number> {
  const places = new Whereabouts(source);
  let count = 0;
  for await (const message of surveyMaildir(places, skipped)) {
    await withMessage(places, message, skipped, async ({ file, folder, name }, dateMs) => {
      const body = new MboxBody();
      let begun = false;
      for await (const chunk of wireBytesOf(file)) {
        if (!begun) {
          await write(Buffer.from(`${formatFromLine(returnPathOf(chunk), dateMs)}\n`));
          await write(body.push(Buffer.from(formatStatus(flagsOf(folder, name), chunk))));
        }
        begun = true;
        await write(body.push(chunk));
      }
      await write(body.end());
      count++;
    });
  }
  return count;
}

async function withMessage(
  places: Whereabouts,
  message: ListedMessage,
  skipped: Skipped,
  use: (opened: OpenMessage, dateMs: number) => Promise<void>,
): Promise<void> {
  let opened: OpenMessage | undefined;
  try {
    opened = await places.open(message);
  } catch (error) {
    skipped(places.pathOf(message), error);
    return;
  }
  // Its owner deleted it meanwhile.
  if (opened === undefined) return;
  try {
    await use(opened, (await opened.file.stat()).mtimeMs);
  } finally {
    await opened.file.close();
  }
}

/** Letters that mean the same everywhere; small ones are numbers of a list that another program keeps. None yet in new. */
function flagsOf(folder: MessageFolder, name: string): string | undefined {
  if (folder === 'new') return undefined;
  const flags = /:2,([A-Za-z]*)/.exec(name)?.[1] ?? '';
  return [...new Set(flags.replace(/[a-z]/g, ''))].sort().join('');
}

/** @returns the reverse-path that delivery wrote in front, empty where there is none. */
function returnPathOf(chunk: Uint8Array): string {
  const head = Buffer.from(chunk.buffer, chunk.byteOffset, Math.min(chunk.length, HEAD_BYTES)).toString('utf8');
  return /^(?:[^\r\n].*\r\n)*?return-path:[ \t]*<([^<>\r\n]*)>/i.exec(head)?.[1] ?? '';
}
