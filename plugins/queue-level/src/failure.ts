/** Any failure of the file system or of Level as the StoreError that the port promises. */
import { StoreError } from '@posthorn/sdk';

const NO_SPACE = new Set(['ENOSPC', 'EDQUOT']);

/** The error code of the system, also when a library wrapped it. */
export function codeOf(cause: unknown): string {
  if (!(cause instanceof Error)) return '';
  const code = (cause as NodeJS.ErrnoException).code ?? '';
  return cause.cause instanceof Error && !NO_SPACE.has(code) ? codeOf(cause.cause) || code : code;
}

/** Whether the disk, or somebody's share of it, is full. Level tells it in words only. */
export function isFull(cause: unknown): boolean {
  if (NO_SPACE.has(codeOf(cause))) return true;
  if (!(cause instanceof Error)) return false;
  return /no space left|quota exceeded/i.test(cause.message) || isFull(cause.cause);
}

/** @param doing what failed, such as "adding 3 messages" */
export function storeFailure(doing: string, cause: unknown): StoreError {
  if (cause instanceof StoreError) return cause;
  const text = `${doing}: ${cause instanceof Error ? cause.message : String(cause)}`;
  return new StoreError(isFull(cause) ? 'PH_STORE_FULL' : 'PH_STORE_FAILED', text, { cause });
}
