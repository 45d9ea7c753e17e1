/**
 * Who holds a lock, written so that anybody on this machine can tell whether the holder still lives:
 * `<pid> <start of the process> <boot id> <thread> <number>`. The number makes each lock's text unlike any other's.
 * Where there is no /proc, the process start and boot are unknown (`-`) and a reused pid keeps a stale lock alive.
 */
import { readFileSync } from 'node:fs';

export interface LockOwner {
  readonly pid: number;
  readonly startedAt: string;
  readonly boot: string;
  readonly thread: string;
}

/** This process and thread. Reads /proc: made once, by whoever makes the opener. */
export function thisOwner(thread: string): LockOwner {
  if (!/^[A-Za-z0-9._-]{1,64}$/.test(thread)) throw new TypeError(`no thread tag: ${JSON.stringify(thread)}`);
  return { pid: process.pid, startedAt: startOf(process.pid) ?? '-', boot: bootId(), thread };
}

export function formatOwner(owner: LockOwner, unlike: string): string {
  return `${owner.pid} ${owner.startedAt} ${owner.boot} ${owner.thread} ${unlike}`;
}

/** @returns undefined for text that no Posthorn wrote. */
export function parseOwner(text: string): LockOwner | undefined {
  const match = /^(\d{1,10}) (\d+|-) (\S+) (\S+) \S+$/.exec(text);
  if (match === null) return undefined;
  const [, pid = '', startedAt = '', boot = '', thread = ''] = match;
  return { pid: Number(pid), startedAt, boot, thread };
}

/** Does the process still live? Its threads are not looked at: only the process itself knows them. */
export function isAlive(owner: LockOwner): boolean {
  const boot = bootId();
  if (owner.boot !== boot) return false;
  const startedAt = startOf(owner.pid);
  if (startedAt !== undefined && owner.startedAt !== '-') return startedAt === owner.startedAt;
  if (startedAt === undefined && boot !== '-') return false;
  try {
    process.kill(owner.pid, 0);
    return true;
  } catch (error) {
    // EPERM: it lives, under another user.
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}

/** Start of a process in ticks since boot; undefined when there is none by that pid, or it is dead and not yet reaped. */
function startOf(pid: number): string | undefined {
  const stat = readOrUndefined(`/proc/${pid}/stat`);
  if (stat === undefined) return undefined;
  // The second field is the command in parentheses and may hold anything: the fields are counted from its end.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const state = fields[0];
  return state === 'Z' || state === 'X' ? undefined : fields[19];
}

function bootId(): string {
  return readOrUndefined('/proc/sys/kernel/random/boot_id')?.trim() ?? '-';
}

function readOrUndefined(path: string): string | undefined {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    // No such process, or a system without /proc: both mean "not known".
    return undefined;
  }
}
