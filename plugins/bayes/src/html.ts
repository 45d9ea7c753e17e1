/**
 * The text and the links of an HTML part, through htmlparser2's streaming tokeniser: no tree is built, so that a page of
 * nothing but open tags costs no more than its bytes. Called by `readMessage`; does not throw on any input.
 */
import { Parser } from 'htmlparser2';

export interface Page {
  readonly text: string;
  readonly links: readonly string[];
}

const SILENT = new Set(['script', 'style', 'title', 'noscript']);
/** Tags that stand inside a word or a sentence: everything else breaks words apart. */
const INLINE = new Set([
  'a',
  'abbr',
  'b',
  'bdo',
  'big',
  'em',
  'font',
  'i',
  'ins',
  's',
  'small',
  'span',
  'strong',
  'sub',
  'sup',
  'u',
  'wbr',
]);
const LINKS = ['href', 'src', 'action', 'background'] as const;
const MAX_LINKS = 200;
const MAX_LINK_LENGTH = 500;

/**
 * Reads one page.
 * @param html text of the part, already cut to a bound by the caller.
 */
export function readHtml(html: string): Page {
  const text: string[] = [];
  const links: string[] = [];
  let silentDepth = 0;
  const parser = new Parser({
    onopentag(name, attributes) {
      if (SILENT.has(name)) silentDepth++;
      else if (!INLINE.has(name)) text.push(' ');
      for (const attribute of LINKS) {
        const link = attributes[attribute];
        if (link !== undefined && links.length < MAX_LINKS) links.push(link.slice(0, MAX_LINK_LENGTH));
      }
      const alternative = attributes['alt'];
      if (alternative !== undefined) text.push(' ', alternative, ' ');
    },
    ontext(piece) {
      if (silentDepth === 0) text.push(piece);
    },
    onclosetag(name) {
      if (SILENT.has(name)) silentDepth = Math.max(0, silentDepth - 1);
      else if (!INLINE.has(name)) text.push(' ');
    },
  });
  parser.end(html);
  return { text: text.join(''), links };
}
