/**
 * docs/rfc.md is the index of what the RFCs ask; docs/rfc/*.md has each requirement as a row and names what shows it.
 * A row that shows nothing, names a test that is gone, or a page that the index forgot is an untrue word to an operator.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { rowsOf, shownBy } from '../lib/rfc-page.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const PAGES = readdirSync(join(ROOT, 'docs/rfc')).filter((name) => name.endsWith('.md'));
const read = (file: string) => readFileSync(join(ROOT, file), 'utf8');

/** Whether a test file has this title as a string: in quotes of any kind, so that a word in a comment does not count. */
function hasTitle(file: string, title: string): boolean {
  const source = read(file).replaceAll(/\\(['"`\\])/g, '$1');
  return ["'", '"', '`'].some((quote) => source.includes(`${quote}${title}${quote}`));
}

test('the index names every page, and no other', () => {
  const linked = [...read('docs/rfc.md').matchAll(/\]\(rfc\/([^)#]+)\)/g)].map(([, name]) => name);
  expect(new Set(linked)).toEqual(new Set(PAGES));
});

describe.each(PAGES)('docs/rfc/%s', (page) => {
  const rows = rowsOf(read(`docs/rfc/${page}`));

  test('has rows, each with a section, a word, what is asked and what shows it', () => {
    expect(rows.length).toBeGreaterThan(0);
    const broken = rows.filter((row) => row.cells.length !== 4 || row.cells.some((cell) => cell === ''));
    expect(broken.map((row) => row.line)).toEqual([]);
    const words = rows.filter(
      (row) => !/^(MUST|SHOULD|MAY|RECOMMENDED|REQUIRED|SHALL)( NOT)?( \([a-z, ]+\))?$/.test(row.cells[1] ?? ''),
    );
    expect(words.map((row) => row.line)).toEqual([]);
  });

  test('names tests and dialogues that are there', () => {
    const wrong: string[] = [];
    for (const row of rows) {
      const shown = shownBy(row.cells[3] ?? '');
      if (shown.reason) {
        // What is not followed has a reason; only a SHOULD may be.
        if (/^(MUST|SHALL|REQUIRED)/.test(row.cells[1] ?? '')) wrong.push(`not followed: ${row.line}`);
        continue;
      }
      if (shown.files.length === 0) wrong.push(`shows nothing: ${row.line}`);
      for (const { file, titles } of shown.files) {
        if (!existsSync(join(ROOT, file))) wrong.push(`no ${file}`);
        else if (file.endsWith('.ts') && titles.length === 0) wrong.push(`no title: ${row.line}`);
        else for (const title of titles) if (!hasTitle(file, title)) wrong.push(`${file} has no test "${title}"`);
      }
    }
    expect(wrong).toEqual([]);
  });
});
