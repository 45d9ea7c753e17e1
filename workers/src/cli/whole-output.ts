/**
 * Standard output for what is worth nothing unless all of it arrives, such as an export: a full disk and a reader that left
 * are errors, which end the command. Used by mailbox-carry.ts.
 */
import { CliError, onOutputError } from './common.ts';

/** @returns writes bytes, at the pace of the reader. Rejects with CliError when they cannot be written. */
export function wholeOutput(): (bytes: Uint8Array) => Promise<void> {
  // The write that fails tells it.
  process.stdout.off('error', onOutputError).on('error', () => undefined);
  return (bytes) =>
    new Promise((resolve, reject) => {
      process.stdout.write(Buffer.from(bytes), (error) => (error ? reject(notWhole(error)) : resolve()));
    });
}

function notWhole(error: NodeJS.ErrnoException): CliError {
  const reason = error.code === 'EPIPE' ? 'its reader is gone' : error.message;
  return new CliError(`standard output did not get all of it: ${reason}`, { cause: error });
}
