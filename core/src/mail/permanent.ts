/** Failures of the file system that no waiting mends, as clients are told by [SYS/PERM] (RFC 3206 §3). */

/** Permissions, and something else where a folder or a file should be. */
const PERMANENT = new Set(['EACCES', 'EPERM', 'EROFS', 'ENOTDIR', 'EISDIR', 'ELOOP', 'ENAMETOOLONG']);

/** Does only the operator, or the user, mend it? */
export function isPermanent(error: unknown): boolean {
  return PERMANENT.has((error as NodeJS.ErrnoException).code ?? '');
}
