/** What both fuzzers share: numbers that are the same for a seed everywhere, and lines of a dialogue damaged by them. */

export type Random = (below: number) => number;

/** mulberry32: small, good enough, the same everywhere. */
export function randomFrom(seed: number): Random {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

const NASTY = [
  '\r',
  '\n',
  '\r\n',
  '\0',
  '.',
  '\r\n.\r\n',
  '\n.\n',
  '\r.\r',
  ' ',
  '<',
  '>',
  '@',
  '"',
  '\\',
  ':',
  '\xff',
  '*\r\n',
  '=',
].concat([
  '0',
  '-1',
  '4294967296',
  '9007199254740993',
  '18446744073709551616',
  '\xc3\xa9',
  '\xc0\xaf',
  'QUIT\r\n',
  'RSET\r\n',
  '+',
]);

/** Up to `most` lines out of `lines`, each as it is or with some places inserted, cut, changed or repeated. */
export function damagedLines(random: Random, lines: readonly string[], most: number): string {
  let text = '';
  for (let count = 1 + random(most); count > 0; count -= 1) text += damaged(random, lines[random(lines.length)] ?? '');
  return text;
}

function damaged(random: Random, line: string): string {
  let text = line;
  for (let times = Math.max(0, random(5) - 1); times > 0; times -= 1) {
    const at = random(text.length + 1);
    const kind = random(5);
    if (kind === 0) text = text.slice(0, at) + (NASTY[random(NASTY.length)] ?? '') + text.slice(at);
    else if (kind === 1) text = text.slice(0, at) + text.slice(at + 1 + random(4));
    else if (kind === 2) text = text.slice(0, at) + String.fromCharCode(random(256)) + text.slice(at + 1);
    else if (kind === 3) text = text.slice(0, at) + text.slice(0, at);
    else text = text.slice(0, at) + text.slice(at, at + 1).repeat(random(700)) + text.slice(at);
  }
  return text;
}
