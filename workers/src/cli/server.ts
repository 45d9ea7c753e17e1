/** `posthorn status` and `posthorn reload`: asks the running server how it does, or to read its files again. */
import type { Command } from 'commander';
import type { ServerStatus } from '../server/questions.ts';
import { CONFIG_OPTION, configOf, warn } from './common.ts';

interface Options {
  readonly config?: string;
  readonly json?: true;
}

export function addServer(program: Command): void {
  program
    .command('status')
    .description('say how the running server does')
    .option('--json', 'as JSON lines, with all counters')
    .option(...CONFIG_OPTION)
    .action(async (options: Options) => {
      const { askServer } = await import('../control/client.ts');
      for await (const status of askServer(configOf(options).data, { ask: 'status' })) {
        process.stdout.write(options.json === true ? `${JSON.stringify(status)}\n` : describe(status));
      }
    });
  program
    .command('reload')
    .description('have the running server read configuration and users again')
    .option(...CONFIG_OPTION)
    .action(async (options: Options) => {
      const { askServer } = await import('../control/client.ts');
      const waiting: string[] = [];
      for await (const key of askServer(configOf(options).data, { ask: 'reload' })) waiting.push(key);
      process.stdout.write('reloaded\n');
      if (waiting.length > 0) warn(`warning: changed, and counts after a restart: ${waiting.join(', ')}`);
    });
}

function describe({ slot, pid, connections, rssBytes, messageBytes, waiting, active }: ServerStatus): string {
  const mebi = (bytes: number) => `${Math.round(bytes / 1024 ** 2)} MiB`;
  return `process ${slot} (pid ${pid}): ${connections} connections, ${waiting} messages wait, ${active} in delivery (being sent, or in line), ${mebi(rssBytes)} memory, ${mebi(messageBytes)} for messages\n`;
}
