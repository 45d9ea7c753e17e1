/**
 * All labelled mail of the corpus by SMTP (smtplib) into a maildrop and out by POP3 (poplib), through a relay into a
 * second Posthorn, and through it into a Postfix: each message that got a 250 must arrive once, byte for byte below the
 * trace headers; each refused one is listed with its reply. `npm run test:corpus -- [--limit N]`.
 */
import { createHash } from 'node:crypto';
import { chmodSync, mkdirSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { install, program } from '../lib/peers/install.ts';
import { startPostfix } from '../lib/peers/postfix.ts';
import { run, tempFolder } from '../lib/process.ts';
import { DOMAIN, type Posthorn, startPosthorn, waitForFiles, waitForMail } from '../lib/server.ts';
import { scriptPath } from './clients/client.ts';
import { type CorpusMessage, unpackCorpus } from './corpus-mail.ts';

const USER = 'alice';
const PASSWORD = 'correct-horse-1';

interface Answer {
  readonly path: string;
  readonly code: number;
  readonly reply: string;
}

/** What became of one way through. */
interface Outcome {
  readonly way: string;
  readonly accepted: number;
  readonly refused: readonly { readonly id: string; readonly answer: Answer }[];
  readonly missing: readonly string[];
  readonly twice: readonly string[];
  /** Arrived, and is none of those that were sent. */
  readonly changed: number;
  readonly seconds: number;
}

/** One connection, one message after the other. */
async function sendAll(port: number, messages: readonly CorpusMessage[], recipient: string): Promise<Answer[]> {
  let printed = '';
  const to = ['127.0.0.1', String(port), 'plain', '-', '-', '-', 'sender@source.test', recipient];
  await run([program('python3'), scriptPath('send'), ...to], {
    input: messages.map(({ path }) => `${path}\n`).join(''),
    onOut: (text) => (printed += text),
    timeoutMs: 3_600_000,
  });
  return printed
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Answer);
}

const digest = (bytes: Buffer) => createHash('sha256').update(bytes).digest('base64');

/** How far into a message the fields can reach that servers put in front. */
const MAX_ADDED_FIELDS = 10;

/**
 * Finds the message below the trace fields: the rest after one of the first fields must be one that was sent.
 * @returns its digest, or undefined when it was changed.
 */
function findSent(fetched: Buffer, sent: ReadonlySet<string>): string | undefined {
  let from = 0;
  for (let field = 0; field <= MAX_ADDED_FIELDS; field++) {
    const found = digest(fetched.subarray(from));
    if (sent.has(found)) return found;
    do {
      const end = fetched.indexOf('\r\n', from);
      if (end < 0) return undefined;
      from = end + 2;
    } while (fetched[from] === 0x20 || fetched[from] === 0x09);
  }
  return undefined;
}

/** Compares what got a 250 with what arrived. */
function judge(
  way: string,
  messages: readonly CorpusMessage[],
  answers: readonly Answer[],
  arrived: Iterable<Buffer>,
  seconds: number,
): Outcome {
  const ids = new Map(messages.map(({ id, path }) => [path, id]));
  const refused = answers.filter(({ code }) => code !== 250).map((answer) => ({ id: ids.get(answer.path)!, answer }));
  const wanted = new Map<string, string>();
  for (const { path, code } of answers) if (code === 250) wanted.set(digest(readFileSync(path)), ids.get(path)!);
  const sent = new Set(wanted.keys());
  const seen = new Map<string, number>();
  let changed = 0;
  for (const bytes of arrived) {
    const found = findSent(bytes, sent);
    if (found === undefined) changed++;
    else seen.set(found, (seen.get(found) ?? 0) + 1);
  }
  return {
    way,
    accepted: answers.length - refused.length,
    refused,
    missing: [...wanted].filter(([digest]) => !seen.has(digest)).map(([, id]) => id),
    twice: [...seen].filter(([, count]) => count > 1).map(([digest]) => wanted.get(digest)!),
    changed,
    seconds,
  };
}

const filesOf = function* (folder: string, toWire: (bytes: Buffer) => Buffer = (bytes) => bytes): Generator<Buffer> {
  for (const name of readdirSync(folder)) yield toWire(readFileSync(join(folder, name)));
};

async function fetchAll(server: Posthorn, folder: string): Promise<Generator<Buffer>> {
  mkdirSync(folder);
  const from = ['127.0.0.1', String(server.ports.pop3), 'starttls', server.certificateFile, USER, PASSWORD, folder, 'UTF8'];
  await run([program('python3'), scriptPath('fetch'), ...from], { timeoutMs: 3_600_000 });
  return filesOf(folder);
}

/** Sends everything to `recipient` and judges what `collect` brings back when all is delivered. */
async function through(
  way: string,
  port: number,
  messages: readonly CorpusMessage[],
  recipient: string,
  collect: (accepted: number) => Promise<Iterable<Buffer>>,
): Promise<Outcome> {
  const begun = performance.now();
  const answers = await sendAll(port, messages, recipient);
  if (answers.length !== messages.length) throw new Error(`${way}: ${messages.length} sent, ${answers.length} answered`);
  const arrived = await collect(answers.filter(({ code }) => code === 250).length);
  return judge(way, messages, answers, arrived, (performance.now() - begun) / 1000);
}

function report({ way, accepted, refused, missing, twice, changed, seconds }: Outcome): boolean {
  for (const { id, answer } of refused) console.log(`  refused: ${id}: ${answer.code} ${answer.reply}`);
  for (const id of missing) console.log(`  missing or changed: ${id}`);
  for (const id of twice) console.log(`  arrived more than once: ${id}`);
  const figures = `${accepted} accepted, ${refused.length} refused, ${missing.length} missing, ${twice.length} more than once, ${changed} changed`;
  console.log(`test:corpus, ${way}: ${figures}, ${seconds.toFixed(0)} s`);
  return missing.length === 0 && twice.length === 0 && changed === 0;
}

async function runAll(folder: string, messages: readonly CorpusMessage[]): Promise<boolean> {
  const maildir = join(folder, 'postfix');
  mkdirSync(maildir);
  chmodSync(folder, 0o711); // Postfix drops root and must still get to it.
  const postfix = await startPostfix({ mail: { maildir } });
  const second = await startPosthorn({
    users: { [USER]: PASSWORD },
    config: { domains: { 'second.test': { aliases: { [USER]: `${USER}@${DOMAIN}` } } } },
  });
  const first = await startPosthorn({
    users: { [USER]: PASSWORD },
    config: {
      relay: {
        from: ['127.0.0.0/8'],
        routes: [
          { to: 'second.test', via: `smtp://127.0.0.1:${second.ports.smtp}` },
          { to: 'postfix.test', via: `smtp://127.0.0.1:${postfix.port}` },
        ],
      },
    },
  });
  try {
    const port = first.ports.smtp;
    const local = await through('to a maildrop, fetched by POP3', port, messages, `${USER}@${DOMAIN}`, async (accepted) => {
      await waitForMail(first, USER, accepted);
      return fetchAll(first, join(folder, 'local'));
    });
    const good = [report(local)];
    const relayed = await through('relayed to a second Posthorn', port, messages, `${USER}@second.test`, async (accepted) => {
      await waitForMail(second, USER, accepted);
      return fetchAll(second, join(folder, 'second'));
    });
    good.push(report(relayed));
    const foreign = await through('relayed to a Postfix', port, messages, `${USER}@postfix.test`, async (accepted) => {
      const box = join(maildir, 'box', 'new');
      await waitForFiles(box, accepted);
      return filesOf(box, (bytes) => Buffer.from(bytes.toString('latin1').replaceAll('\n', '\r\n'), 'latin1'));
    });
    good.push(report(foreign));
    return good.every(Boolean);
  } finally {
    for (const server of [first, second]) {
      await server.stop();
      server.remove();
    }
    await postfix.stop();
  }
}

const { values } = parseArgs({ options: { limit: { type: 'string', default: 'Infinity' } } });
await install(['postfix', 'python3']);
const folder = tempFolder('corpus');
try {
  const messages = await unpackCorpus(folder.path, Number(values.limit));
  if (messages === undefined) console.warn('NOT TESTED: there is no corpus beside the project');
  else process.exitCode = (await runAll(folder.path, messages)) ? 0 : 1;
} finally {
  folder.remove();
}
