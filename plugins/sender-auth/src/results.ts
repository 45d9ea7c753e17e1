/**
 * The Authentication-Results header of a message (RFC 8601), written from the rows mailauth formats. Everything in it that
 * came from the sender was quoted by mailauth; here every line end and control character goes too, whatever it quoted.
 */
import type { Checked } from './check.ts';

const MAX_LINE = 76;
/** One result is cut to this, so that a row of long names cannot grow the header without bound. */
const MAX_RESULT = 700;

/** @returns the header's value, folded. */
export function resultsHeader(authservId: string, checked: Checked | undefined): string {
  const rows = checked === undefined ? [] : rowsOf(checked);
  return [plain(authservId), ...(rows.length === 0 ? ['none'] : rows)].map(foldRow).join(';\r\n\t');
}

function rowsOf({ result, unchecked }: Checked): string[] {
  const rows = [result.spf === false ? '' : result.spf.info];
  if (unchecked === undefined) rows.push(...result.dkim.results.map((one) => one.info));
  else rows.push(`dkim=policy (${unchecked})`);
  if (result.arc !== false && result.arc.status.result !== 'none') rows.push(result.arc.info ?? '');
  if (result.dmarc !== false) rows.push(result.dmarc.info);
  return rows.map(plain).filter((row) => row !== '');
}

function plain(text: string): string {
  return text
    .replaceAll(/[^\x20-\x7e]+/g, ' ')
    .replaceAll(/ {2,}/g, ' ')
    .trim()
    .slice(0, MAX_RESULT);
}

/** Breaks a row at blanks; a word longer than a line stays whole, the queue folds what goes past 998. */
function foldRow(row: string): string {
  const lines: string[] = [];
  let line = '';
  for (const word of row.split(' ')) {
    if (line !== '' && line.length + word.length >= MAX_LINE) {
      lines.push(line);
      line = word;
    } else {
      line = line === '' ? word : `${line} ${word}`;
    }
  }
  return [...lines, line].join('\r\n\t ');
}
