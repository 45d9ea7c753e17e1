/**
 * Applies the header edits of hooks to a message: computes what to put in front and which ranges to leave out, so
 * that no received byte is copied for it. Called by smtp/acceptance; the queue stores `prepend`, then the bytes
 * without the cuts. An edit that cannot be written down (a name that is none) is left out and reported.
 */
import { scanHeader, unfoldedValue, type HeaderField } from './header-scan.ts';

/** The header edits among the edits of hook/contract. */
export type HookHeaderEdit =
  | { readonly edit: 'add-header'; readonly name: string; readonly value: string }
  /** Removes every header of that name, or those whose unfolded value `matching` (a substring, case-insensitive) is in. */
  | { readonly edit: 'remove-header'; readonly name: string; readonly matching?: string }
  /** Removes every header of that name and adds this one. */
  | { readonly edit: 'replace-header'; readonly name: string; readonly value: string };

/** Those, and one of core alone: adds a header where none of that name is, or is left. */
export type HeaderEdit = HookHeaderEdit | { readonly edit: 'default-header'; readonly name: string; readonly value: string };

/** Does this edit of a hook change the header? */
export function isHeaderEdit(edit: { readonly edit: string }): edit is HookHeaderEdit {
  return edit.edit === 'add-header' || edit.edit === 'remove-header' || edit.edit === 'replace-header';
}

/** A range of the received bytes to leave out. */
export interface Cut {
  readonly from: number;
  readonly to: number;
}

export interface EditedHeader {
  /** Lines to stand before the received bytes, each ended by CRLF; the edit made last stands last. */
  readonly prepend: string;
  /** Ascending, not overlapping, joined where they touch. */
  readonly cuts: readonly Cut[];
  /** Edits that were left out, with the reason. */
  readonly refused: readonly { readonly edit: HeaderEdit; readonly reason: string }[];
}

interface AddedField {
  readonly name: string;
  readonly value: string;
}

/** RFC 5322 §2.1.1, without CRLF. */
const MAX_LINE_CHARACTERS = 998;
/** Where long lines are folded when they must be. */
const FOLD_AT_CHARACTERS = 900;

/**
 * Applies header edits in order.
 * @param header the received header section; only fields wholly in it can be removed.
 */
export function editHeader(header: Uint8Array, edits: readonly HeaderEdit[]): EditedHeader {
  let fields: HeaderField[] | undefined;
  const removed = new Set<HeaderField>();
  const refused: { edit: HeaderEdit; reason: string }[] = [];
  let added: AddedField[] = [];

  const remove = (name: string, matching: string | undefined): void => {
    const wantedName = name.toLowerCase();
    const wanted = matching?.toLowerCase();
    const isMeant = (fieldName: string, value: () => string): boolean =>
      fieldName.toLowerCase() === wantedName && (wanted === undefined || value().toLowerCase().includes(wanted));
    fields ??= scanHeader(header);
    for (const field of fields) if (isMeant(field.name, () => unfoldedValue(header, field))) removed.add(field);
    added = added.filter((field) => !isMeant(field.name, () => field.value));
  };

  const has = (name: string): boolean => {
    const wanted = name.toLowerCase();
    fields ??= scanHeader(header);
    return (
      fields.some((field) => field.name === wanted && !removed.has(field)) ||
      added.some((field) => field.name.toLowerCase() === wanted)
    );
  };

  for (const edit of edits) {
    if (!/^[\x21-\x39\x3b-\x7e]{1,76}$/.test(edit.name)) {
      refused.push({ edit, reason: 'not a header field name' });
      continue;
    }
    if (edit.edit === 'default-header' && has(edit.name)) continue;
    if (edit.edit === 'remove-header') remove(edit.name, edit.matching);
    else if (edit.edit === 'replace-header') remove(edit.name, undefined);
    if (edit.edit !== 'remove-header') added.push({ name: edit.name, value: edit.value });
  }
  return { prepend: added.map(headerLine).join(''), cuts: cutsOf(fields, removed), refused };
}

/**
 * One field as it stands in a message. A value may bring its own folding; every other line end in it is made one, so
 * that a value can never begin a field or the body. NUL and other control characters become blanks.
 */
export function headerLine({ name, value }: AddedField): string {
  const lines = `${name}: ${value}`.replace(/[ \t\r\n]+$/, '').split(/[\r\n]+/);
  const folded = lines.flatMap((line, index) => {
    const clean = line.replace(/[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]/g, ' ');
    if (clean.trim() === '') return [];
    return foldLong(index === 0 || /^[ \t]/.test(clean) ? clean : `\t${clean}`);
  });
  return `${folded.join('\r\n')}\r\n`;
}

/** Breaks a line that is too long at blanks, or where there are none anywhere. */
function foldLong(line: string): string[] {
  const pieces: string[] = [];
  let rest = line;
  while (Buffer.byteLength(rest) > MAX_LINE_CHARACTERS) {
    // 200 characters are at most 800 bytes, whatever script they are in.
    const limit = Buffer.byteLength(rest) === rest.length ? FOLD_AT_CHARACTERS : 200;
    const blank = rest.lastIndexOf(' ', limit);
    const at = blank > limit / 2 ? blank : limit;
    pieces.push(rest.slice(0, at));
    rest = `\t${rest.slice(at).trimStart()}`;
  }
  pieces.push(rest);
  return pieces;
}

function cutsOf(fields: readonly HeaderField[] | undefined, removed: ReadonlySet<HeaderField>): Cut[] {
  const cuts: { from: number; to: number }[] = [];
  for (const field of fields ?? []) {
    if (!removed.has(field)) continue;
    const last = cuts.at(-1);
    if (last !== undefined && last.to === field.from) last.to = field.to;
    else cuts.push({ from: field.from, to: field.to });
  }
  return cuts;
}
