/**
 * Reads a page of docs/rfc: tables of `| § | Word | What it asks | Shown by |`. Pure; for the test that holds the pages
 * against the tests they name, and for the script that counts them.
 */

export interface RfcRow {
  readonly line: string;
  /** Section, word, what is asked, shown by. */
  readonly cells: readonly string[];
}

export interface ShownBy {
  /** True for a cell that begins with "No:": a SHOULD that is not followed, and why. */
  readonly reason: boolean;
  /** Files in backticks, each with the titles in double quotes that follow it. */
  readonly files: readonly { readonly file: string; readonly titles: readonly string[] }[];
}

/** Rows of all tables of a page, without their heads. A `|` inside of a cell is written `\|`. */
export function rowsOf(text: string): RfcRow[] {
  return text
    .split('\n')
    .filter((line) => line.startsWith('|') && !/^\|[\s:|-]+$/.test(line) && !/^\|\s*§\s*\|/.test(line))
    .map((line) => ({
      line,
      cells: line
        .replace(/\|\s*$/, '')
        .slice(1)
        .split(/(?<!\\)\|/)
        .map((cell) => cell.trim().replaceAll('\\|', '|')),
    }));
}

/** What a "Shown by" cell names. */
export function shownBy(cell: string): ShownBy {
  const files: { file: string; titles: string[] }[] = [];
  for (const [, file, title] of cell.matchAll(/`([\w./-]+\.(?:ts|txt))`|"((?:[^"\\]|\\.)*)"/g)) {
    if (file !== undefined) files.push({ file, titles: [] });
    else if (title !== undefined) files.at(-1)?.titles.push(title.replaceAll('\\"', '"'));
  }
  return { reason: cell.startsWith('No:'), files };
}

/** Words that a page says it is about: `Announced as: `A`, `B`.` below its title. */
export function announcedWords(page: string): string[] {
  const [, list = ''] = /^Announced as: (.*)\.$/m.exec(page) ?? [];
  return [...list.matchAll(/`([^`]+)`/g)].map(([, word = '']) => word);
}
