/**
 * What is wrong with a file of the operator's, as data: where, what was expected, what was found. Made by load.ts and
 * users.ts, shown by explain.ts, logged in one line by a server that keeps its old configuration.
 */

export interface Problem {
  /** As it was named to us, for messages. */
  readonly file: string;
  /** From 1; 0 when the file could not be read at all. */
  readonly line: number;
  /** From 1, in characters of the line. */
  readonly column: number;
  /** How many characters the caret marks. */
  readonly length: number;
  /** `listeners[0].tls`; empty for the file as a whole. */
  readonly path: string;
  /** One sentence without a full stop: what is wrong. */
  readonly message: string;
  /** Such as `did you mean "starttls"?`. */
  readonly hint?: string;
  /** The line in question, with secrets blotted out; absent when there is none to show. */
  readonly source?: string;
}

export type Path = readonly (string | number)[];

/** @returns `listeners[0].tls`; keys that are not plain words stand in quotes. */
export function formatPath(path: Path): string {
  let text = '';
  for (const part of path) {
    if (typeof part === 'number') text += `[${part}]`;
    else if (/^[\w-]+$/.test(part)) text += text === '' ? part : `.${part}`;
    else text += `[${shorten(JSON.stringify(hideSecrets(part)))}]`;
  }
  return text;
}

/** @returns the value as a person would name it, short, on one line, without passwords of URLs. */
export function describeValue(value: unknown): string {
  if (value === null || value === undefined) return 'nothing';
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : 'a list';
  if (typeof value === 'object') return 'a mapping';
  if (typeof value === 'string') return shorten(JSON.stringify(hideSecrets(value)));
  // What YAML can give is named above, except numbers and booleans.
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : typeof value;
}

/**
 * Blots out passwords in URLs and password hashes, keeping every column where it was. A password may hold what no URL
 * may (that is why it is shown), so all goes up to the last `@` of the line, unless it is a port.
 */
export function hideSecrets(text: string): string {
  return text
    .replace(
      /(:\/\/[^\s:@/]*:)(?!\d{1,5}(?:[\s"',}\]/]|$))(.*)(?=@)/g,
      (_, head: string, secret: string) => head + '*'.repeat(secret.length),
    )
    .replace(
      /(\$argon2id\$|\bp=\d+\$)([A-Za-z0-9+/=,$]+)/g,
      (_, head: string, secret: string) => head + '*'.repeat(secret.length),
    );
}

function shorten(text: string): string {
  return text.length <= 60 ? text : `${text.slice(0, 57)}…`;
}
