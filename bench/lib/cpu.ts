/**
 * CPU seconds (user and system) and memory of a server with everything it starts, short-lived children too.
 * Where a cgroup can be made (as root on Linux) the kernel counts, exact to the microsecond. Elsewhere the process tree
 * is read from /proc: live processes and the children each of them has waited for, in ticks of 10 ms a process; a record
 * says which way was used (`cpuBy`). A peer and Posthorn are always counted the same way.
 */
import { existsSync, mkdirSync, readFileSync, readdirSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const TICKS_PER_SECOND = 100;

/** A group of processes that is counted together. */
export interface CpuGroup {
  readonly cpuBy: 'cgroup' | 'proc';
  /** The command line to start instead of `command`, so that the group has the process and all it starts. */
  wrap(command: readonly string[]): string[];
  /** With `proc`: the root of the tree. With `cgroup` not needed. */
  watch(pid: number): void;
  cpuSeconds(): number;
  pids(): number[];
  /** Resident memory of all processes; pages shared between them count once in each. */
  rssBytes(): number;
  /** Resident memory that is no file's: heaps, stacks, buffers, and shared memory. */
  ownBytes(): number;
  close(): void;
}

function cgroupRoot(): string | undefined {
  for (const root of ['/sys/fs/cgroup/unified', '/sys/fs/cgroup']) {
    if (existsSync(join(root, 'cgroup.controllers')) && existsSync(join(root, 'cpu.stat'))) return root;
  }
  return undefined;
}

/** A new group. @param name becomes part of the cgroup's name. @param way forces one way (for its test). */
export function openCpuGroup(name: string, way?: 'cgroup' | 'proc'): CpuGroup {
  const root = way === 'proc' ? undefined : cgroupRoot();
  if (root !== undefined) {
    const path = join(root, `posthorn-bench-${process.pid}-${name}-${Date.now().toString(36)}`);
    try {
      mkdirSync(path);
      return cgroup(path);
    } catch (error) {
      if (way === 'cgroup') throw error;
      // No right to make one: counted by /proc, and the record says so.
    }
  }
  return procTree();
}

function cgroup(path: string): CpuGroup {
  const pids = () => readFileSync(join(path, 'cgroup.procs'), 'utf8').split('\n').filter(Boolean).map(Number);
  return {
    cpuBy: 'cgroup',
    wrap: (command) => ['/bin/sh', '-c', `echo $$ > ${path}/cgroup.procs && exec "$@"`, 'sh', ...command],
    watch: () => undefined,
    cpuSeconds: () => Number(/usage_usec (\d+)/.exec(readFileSync(join(path, 'cpu.stat'), 'utf8'))![1]) / 1e6,
    pids,
    rssBytes: () => sumStatus(pids(), ['VmRSS']),
    ownBytes: () => sumStatus(pids(), ['RssAnon', 'RssShmem']),
    close: () => {
      // What outlived its server goes to the root group; an empty group can be removed.
      for (const pid of pids()) writeFileSync(join(path, '..', 'cgroup.procs'), String(pid));
      rmdirSync(path);
    },
  };
}

function procTree(): CpuGroup {
  let top: number | undefined;
  const tree = () => (top === undefined ? [] : descendants(top));
  return {
    cpuBy: 'proc',
    wrap: (command) => [...command],
    watch: (pid) => {
      top = pid;
    },
    cpuSeconds: () => tree().reduce((sum, pid) => sum + ticksOf(pid), 0) / TICKS_PER_SECOND,
    pids: tree,
    rssBytes: () => sumStatus(tree(), ['VmRSS']),
    ownBytes: () => sumStatus(tree(), ['RssAnon', 'RssShmem']),
    close: () => undefined,
  };
}

/** The process and all below it, by the parents that /proc names. */
export function descendants(top: number): number[] {
  const children = new Map<number, number[]>();
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    const parent = Number(statOf(Number(entry))?.[1] ?? NaN);
    if (!Number.isNaN(parent)) children.set(parent, [...(children.get(parent) ?? []), Number(entry)]);
  }
  const found = [top];
  for (let index = 0; index < found.length; index++) found.push(...(children.get(found[index]!) ?? []));
  return found;
}

/** Fields of /proc/PID/stat after the name: state, ppid, …; undefined when the process is gone. */
function statOf(pid: number): string[] | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return text.slice(text.lastIndexOf(')') + 2).split(' ');
  } catch {
    return undefined; // Ended between the listing and the reading.
  }
}

/** utime + stime + cutime + cstime (fields 14 to 17 of proc(5)). */
function ticksOf(pid: number): number {
  const fields = statOf(pid);
  return fields === undefined ? 0 : fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0);
}

function sumStatus(pids: readonly number[], keys: readonly string[]): number {
  let bytes = 0;
  for (const pid of pids) {
    let status: string;
    try {
      status = readFileSync(`/proc/${pid}/status`, 'utf8');
    } catch {
      continue; // Ended meanwhile: it holds nothing any more.
    }
    for (const key of keys) bytes += Number(new RegExp(`^${key}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? 0) * 1024;
  }
  return bytes;
}
