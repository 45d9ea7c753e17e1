/**
 * `posthorn serve [FILE]`: runs the server until SIGTERM or Ctrl-C. Without FILE it is ./posthorn.yaml, which is made at
 * the first start, and a notice on standard error says what is listening; standard output is the log's.
 */
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import type { FirstRun } from '../supervisor/first-run.ts';
import type { Settings } from '../ipc.ts';
import { warn } from './common.ts';

export function addServe(program: Command): void {
  program
    .command('serve')
    .description('run the server')
    .argument('[file]', 'configuration; without it ./posthorn.yaml, which is made at the first start')
    .action(async (file: string | undefined) => {
      const { firstRunNotice, prepareFirstRun } = await import('../supervisor/first-run.ts');
      const run = file === undefined ? await prepareFirstRun(process.cwd()) : undefined;
      const configPath = resolve(run?.configPath ?? file ?? '');
      const { readSettings } = await import('../supervisor/settings.ts');
      const { serve } = await import('../supervisor/serve.ts');
      let announced = false;
      try {
        await serve({
          readSettings: () =>
            readSettings(
              configPath,
              (made) => warn(`posthorn: no certificate is configured; made a self-signed one: ${made}`),
              (text) => warn(`posthorn: ${text}`),
            ),
          onReady: (settings) => {
            announced = true;
            if (run !== undefined) process.stderr.write(firstRunNotice(noticeOf(run, settings)));
          },
        });
      } catch (error) {
        // The hash is saved by now: a password that nobody saw would be lost.
        if (!announced && run?.password !== undefined) warn(`posthorn: first user ${run.user?.name}, password ${run.password}`);
        throw error;
      }
    });
}

function noticeOf(run: FirstRun, { config }: Settings) {
  return {
    run,
    listeners: config.listeners,
    dataDirectory: config.data,
    projectDirectory: join(fileURLToPath(import.meta.url), '..', '..', '..', '..'),
    workingDirectory: process.cwd(),
  };
}
