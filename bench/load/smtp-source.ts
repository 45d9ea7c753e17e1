/** Postfix's own load generator, the same for every server that is measured. */
import { run } from '../../test/lib/process.ts';
import { program } from '../../test/lib/peers/install.ts';

export const SOURCE_DOMAIN = 'source.test';

export interface SourceLoad {
  readonly port: number;
  readonly messages: number;
  readonly sessions: number;
  readonly messageBytes: number;
  /** `keep`: a session sends all its messages over one connection. `one`: each message has a connection. */
  readonly mode: 'keep' | 'one';
}

/** Resolves when every message was acknowledged; smtp-source ends with an error at the first reply that is none. */
export async function runSmtpSource(load: SourceLoad): Promise<void> {
  const command = [program('smtp-source'), ...(load.mode === 'keep' ? ['-d'] : [])];
  command.push('-s', String(load.sessions), '-m', String(load.messages), '-l', String(load.messageBytes));
  command.push('-f', `sender@${SOURCE_DOMAIN}`, '-t', 'recipient@sink.test', `127.0.0.1:${load.port}`);
  await run(command, { timeoutMs: 600_000 });
}
