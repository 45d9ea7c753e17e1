/** `posthorn train spam|ham PATH…`: teaches the bayes plugin. A running server picks the new model up by itself. */
import type { Command } from 'commander';
import { CliError, CONFIG_OPTION, configOf } from './common.ts';

interface Options {
  readonly config?: string;
}

export function addTrain(program: Command): void {
  program
    .command('train')
    .description('teach the bayes plugin what is spam and what is not')
    .argument('<label>', 'spam or ham')
    .argument('<path...>', 'message files, mbox files, Maildirs, or folders of them')
    .option(...CONFIG_OPTION)
    .action(async (label: string, paths: string[], options: Options) => {
      if (label !== 'spam' && label !== 'ham') throw new CliError(`expected spam or ham, found "${label}"`);
      const { train } = await import('@posthorn/bayes');
      const { pluginDirectory } = await import('../plugin/open.ts');
      const showsProgress = process.stderr.isTTY;
      const result = await train({
        directory: pluginDirectory(configOf(options).data, 'bayes'),
        label,
        paths,
        onProgress: ({ read }) => {
          if (showsProgress) process.stderr.write(`\r${read} messages read`);
        },
      });
      if (showsProgress) process.stderr.write('\n');
      const { read, learned, corrected, known, empty, spamMessages, hamMessages, tokens } = result;
      process.stdout.write(
        `${read} messages read: ${learned} learned, ${corrected} corrected, ${known} known before, ${empty} empty\n` +
          `the model knows ${spamMessages} spam and ${hamMessages} ham messages, ${tokens} tokens\n`,
      );
    });
}
