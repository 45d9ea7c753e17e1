/**
 * Blanks around text as protocols know them: space and tab. `String.trim` knows more of them, such as the no-break space:
 * in text of one character for each byte (latin1) that is the last byte of many letters in UTF-8.
 */

const SPACE = 32;
const TAB = 9;

/** @returns the text without spaces and tabs at its ends */
export function trimBlanks(text: string): string {
  let from = 0;
  let to = text.length;
  while (from < to && isBlank(text.charCodeAt(from))) from += 1;
  while (to > from && isBlank(text.charCodeAt(to - 1))) to -= 1;
  return text.slice(from, to);
}

function isBlank(code: number): boolean {
  return code === SPACE || code === TAB;
}
