/**
 * The command line: `posthorn COMMAND …`. Each command is a file of its own and loads what it needs when it runs, so
 * that `posthorn --help` and the small commands start fast. Errors for the operator are one text on standard error and
 * exit code 1; everything unforeseen is shown with its stack.
 */
import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { addCheck } from './check.ts';
import { onOutputError } from './common.ts';
import { errorText } from './error-text.ts';
import { addFetch } from './fetch.ts';
import { addMailbox } from './mailbox.ts';
import { addPlugin } from './plugin.ts';
import { addQueue } from './queue.ts';
import { addSchema } from './schema.ts';
import { addSend } from './send.ts';
import { addServe } from './serve.ts';
import { addServer } from './server.ts';
import { addTls } from './tls.ts';
import { addTrain } from './train.ts';
import { addUser } from './user.ts';

/** @returns the program with all its commands; nothing has run yet. */
export function createProgram(): Command {
  const manifest = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string };
  const program = new Command('posthorn')
    .description('A mail transfer agent.')
    .version(manifest.version)
    .showHelpAfterError('(posthorn --help says more)');
  for (const add of [
    addServe,
    addCheck,
    addSchema,
    addUser,
    addTrain,
    addSend,
    addFetch,
    addMailbox,
    addPlugin,
    addQueue,
    addServer,
    addTls,
  ])
    add(program);
  return program;
}

async function main(): Promise<void> {
  process.stdout.on('error', onOutputError);
  try {
    await createProgram().parseAsync();
  } catch (error) {
    process.stderr.write(`posthorn: ${errorText(error)}\n`);
    process.exitCode = 1;
  }
}

if (import.meta.main) await main();
