/**
 * What a failed command says. Used by main.ts. An error that was thrown on purpose is told by its message, one of the
 * system by what could not be done and where; only a slip in the code shows its stack.
 */

/** How what the system could not do is called. */
const DONE: Readonly<Record<string, string>> = {
  open: 'opened',
  read: 'read',
  scandir: 'read',
  mkdir: 'made',
  rename: 'renamed',
  unlink: 'removed',
  write: 'written',
  connect: 'reached',
};

/** @returns one or more lines for the operator. */
export function errorText(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error instanceof TypeError || error instanceof ReferenceError || error instanceof RangeError) {
    return error.stack ?? error.message;
  }
  const { syscall, path } = error as NodeJS.ErrnoException;
  if (syscall === undefined || typeof path !== 'string') return error.message;
  // `EACCES: permission denied, mkdir '/srv/data'`
  const reason = /^[A-Z0-9]+: (.*?), /.exec(error.message)?.[1] ?? error.message;
  return `${path}: cannot be ${DONE[syscall] ?? 'used'}: ${reason}`;
}
