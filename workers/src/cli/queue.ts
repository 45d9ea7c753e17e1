/**
 * `posthorn queue list|show|retry|remove`: looks into the queue and helps it along. Asks the running server; when none
 * runs, works on the store itself, which nobody else can have open then.
 */
import type { Command } from 'commander';
import type { Config } from '@posthorn/config';
import type { QueueListed, Removal } from '@posthorn/core/queue/queue';
import { askServer, NoServerError } from '../control/client.ts';
import type { ControlParts, ControlRequest } from '../control/protocol.ts';
import { CliError, CONFIG_OPTION, configOf, warn } from './common.ts';
import { describeMessage, listText } from './queue-text.ts';

interface Options {
  readonly config?: string;
  readonly json?: true;
  readonly all?: true;
}

export function addQueue(program: Command): void {
  const queue = program.command('queue').description('look into the queue and help it along');
  queue
    .command('list')
    .description('list what waits, oldest first')
    .option('--json', 'as JSON lines')
    .option(...CONFIG_OPTION)
    .action(async (options: Options) => {
      let count = 0;
      for await (const entry of ask(configOf(options), { ask: 'queue.list' })) {
        count += 1;
        process.stdout.write(options.json === true ? `${JSON.stringify(entry)}\n` : listText(entry, Date.now()));
      }
      if (count === 0 && options.json !== true) process.stdout.write('the queue is empty\n');
    });
  queue
    .command('show')
    .description('show one message: envelope, recipients, last replies')
    .argument('<id>')
    .option('--json', 'as JSON')
    .option(...CONFIG_OPTION)
    .action(async (id: string, options: Options) => {
      const [entry] = await Array.fromAsync(ask(configOf(options), { ask: 'queue.show', id }) as AsyncIterable<QueueListed>);
      if (entry === undefined) throw new CliError(`there is no message ${id} in the queue`);
      process.stdout.write(options.json === true ? `${JSON.stringify(entry)}\n` : describeMessage(entry, Date.now()));
    });
  queue
    .command('retry')
    .description('try a message now, or all of them')
    .argument('[id]')
    .option('--all', 'everything that waits')
    .option(...CONFIG_OPTION)
    .action(async (id: string | undefined, options: Options) => {
      if ((id === undefined) !== (options.all === true)) throw new CliError('expected the id of a message, or --all');
      let count = 0;
      for await (const part of ask(configOf(options), { ask: 'queue.retry', ...(id === undefined ? {} : { id }) })) count += part;
      if (count === 0 && id !== undefined) throw new CliError(`no message ${id} waits in the queue`);
      process.stdout.write(`${count === 1 ? '1 message is' : `${count} messages are`} due now\n`);
    });
  queue
    .command('remove')
    .description('throw a message away, without a bounce')
    .argument('<id>')
    .option(...CONFIG_OPTION)
    .action(async (id: string, options: Options) => {
      const [removal] = await Array.fromAsync(ask(configOf(options), { ask: 'queue.remove', id }) as AsyncIterable<Removal>);
      if (removal === undefined) throw new CliError(`there is no message ${id} in the queue`);
      process.stdout.write(
        removal === 'being-sent'
          ? `${id} is being delivered now; it is forgotten if this attempt does not deliver it\n`
          : `${id} is removed\n`,
      );
    });
}

type QueueRequest = Exclude<ControlRequest, { ask: 'reload' | 'status' }>;

/** The running server's answer, or that of the store. */
async function* ask<Request extends QueueRequest>(
  config: Config,
  request: Request,
): AsyncGenerator<ControlParts[Request['ask']]> {
  try {
    yield* askServer(config.data, request);
    return;
  } catch (error) {
    if (!(error instanceof NoServerError)) throw error;
  }
  if (config.queue.store === 'memory') {
    warn('no server runs, and a queue in memory is gone with it');
    return;
  }
  const { askStores } = await import('../control/queue-offline.ts');
  yield* askStores(config.data, request) as AsyncIterable<ControlParts[Request['ask']]>;
}
