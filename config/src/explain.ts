/**
 * Shows problems to a person: place, key, what is wrong, the line with a caret under it. Used by `posthorn check`, by
 * the start of the server, and (one line each) by its log when a reload was refused. Pure.
 */
import type { Problem } from './problem.ts';

const MAX_SHOWN = 50;
const MAX_WIDTH = 120;

/** @returns `posthorn.yaml:3:5: listeners[0].tls: …`, on one line, for logs. */
export function explainInOneLine(problem: Problem): string {
  const place = problem.line === 0 ? problem.file : `${problem.file}:${problem.line}:${problem.column}`;
  const path = problem.path === '' ? '' : ` ${problem.path}:`;
  const hint = problem.hint === undefined ? '' : `; ${problem.hint}`;
  return plain(`${place}:${path} ${problem.message}${hint}`);
}

/** @returns all problems with their lines, ended by a line feed; at most 50 of them, and how many more there are. */
export function explain(problems: readonly Problem[]): string {
  const shown = problems.slice(0, MAX_SHOWN).map((problem) => explainInOneLine(problem) + excerpt(problem));
  const more = problems.length - shown.length;
  if (more > 0) shown.push(`… and ${more} more`);
  return `${shown.join('\n')}\n`;
}

function excerpt({ line, column, length, source }: Problem): string {
  if (source === undefined || source.trim() === '') return '';
  // A long line is shown from a little before the place.
  const from = column + length <= MAX_WIDTH ? 0 : Math.max(0, column - 1 - MAX_WIDTH / 2);
  const text = plain(source.slice(from, from + MAX_WIDTH));
  const width = Math.max(1, Math.min(length, text.length - (column - 1 - from)));
  const gutter = String(line).padStart(5);
  return `\n${gutter} | ${text}\n      | ${' '.repeat(column - 1 - from)}${'^'.repeat(width)}`;
}

/** A file may hold escape sequences; a terminal shall not obey them. One character stays one character. */
function plain(text: string): string {
  return text.replace(/\t/g, ' ').replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g, '?');
}
