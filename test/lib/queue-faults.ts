/**
 * File operations that fail when a test says so, over the real ones. `failing` is asked before each operation with its
 * name and how many of that name went before; what it returns is thrown. For a write it may also be a number: so many
 * bytes are written, and no error is given (a short write).
 */
import { type FileOps, nodeFileOps } from '@posthorn/queue-level';

export type OpName = keyof FileOps;
export type Failing = (op: OpName, before: number) => string | number | undefined;

/** An error as the system gives it. */
export function systemError(code: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`${code}: made by a test`), { code });
}

/** @returns the operations, and `plan` to say what fails from now on (counting starts again) */
export function faultyFiles(): {
  files: FileOps;
  plan: (failing: Failing | undefined) => void;
  counts: () => ReadonlyMap<OpName, number>;
} {
  let failing: Failing | undefined;
  let counts = new Map<OpName, number>();

  function verdict(op: OpName): number | undefined {
    const before = counts.get(op) ?? 0;
    counts.set(op, before + 1);
    const outcome = failing?.(op, before);
    if (typeof outcome === 'string') throw systemError(outcome);
    return outcome;
  }

  const files = Object.fromEntries(
    (Object.keys(nodeFileOps) as OpName[]).map((op) => {
      const real = nodeFileOps[op] as (...parameters: unknown[]) => unknown;
      if (op === 'readNow') {
        return [op, (...parameters: unknown[]) => (verdict(op), real(...parameters))];
      }
      return [
        op,
        async (...parameters: unknown[]) => {
          const short = verdict(op);
          if (op !== 'write' || short === undefined) return real(...parameters);
          const [fd, buffers, position] = parameters as Parameters<FileOps['write']>;
          return nodeFileOps.write(fd, [Buffer.concat(buffers).subarray(0, short)], position);
        },
      ];
    }),
  ) as unknown as FileOps;

  return {
    files,
    plan(next) {
      failing = next;
      counts = new Map();
    },
    counts: () => counts,
  };
}
