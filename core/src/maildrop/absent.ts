/** What another program took away, or nobody made yet, is no failure: mailboxes are not ours alone. */

export function isAbsent(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === 'ENOENT';
}

/** The answer, or `otherwise` where the file or folder asked about is not there. Rejects for other reasons. */
export async function unlessAbsent<T>(answer: Promise<T>, otherwise: T): Promise<T> {
  try {
    return await answer;
  } catch (error) {
    if (isAbsent(error)) return otherwise;
    throw error;
  }
}
