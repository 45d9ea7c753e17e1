/** Makes Level fail as it does on a full disk, in this process, for every store in it. */
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

type Step = '_batch' | '_open';
type Steps = Record<Step, (...parameters: unknown[]) => Promise<unknown>>;

const require = createRequire(fileURLToPath(new URL('../../plugins/queue-level/package.json', import.meta.url)));
const { prototype } = (require('level') as { Level: { prototype: Steps } }).Level;
const { _batch, _open } = prototype;

function full(): Promise<never> {
  return Promise.reject(Object.assign(new Error('IO error: 000005.log: No space left on device'), { code: 'LEVEL_IO_ERROR' }));
}

/** From now on these steps fail. */
export function breakLevel(...steps: readonly Step[]): void {
  for (const step of steps) prototype[step] = full;
}

/** The disk is well again. */
export function healLevel(): void {
  Object.assign(prototype, { _batch, _open });
}
