/**
 * Checks what stands behind a verb, before any plugin is asked. Strict: a number is digits without sign or leading zero,
 * and what is not UTF-8 is not repaired (RFC 6856 §2.2).
 */
import { isProhibited, saslPrepared } from '../auth/sasl-prep.ts';
import { decodeUtf8 } from '../wire/utf8.ts';
import type { TransactionState } from './conversation.ts';
import type { Texts } from './languages/texts.ts';

export type Checked<A> = { readonly ok: true; readonly value: A } | { readonly ok: false; readonly text: string };

/** @param argument one character for each byte; undefined where there is none. */
export type Check<S, A> = (argument: string | undefined, texts: Texts, state: S) => Checked<A>;

const DECIMAL = /^(?:0|[1-9]\d{0,9})$/;
const DIGEST = /^[0-9a-f]{32}$/;

export function nothing(argument: string | undefined, texts: Texts): Checked<undefined> {
  return argument === undefined ? right(undefined) : wrong(texts.noArgument);
}

export function anything(argument: string | undefined): Checked<string | undefined> {
  return right(argument);
}

/** Everything behind the verb, spaces too. */
export function name(argument: string | undefined, texts: Texts): Checked<string> {
  return argument === undefined ? wrong(texts.giveName) : prepared(argument, texts);
}

/** As it was typed: who compares it prepares it. */
export function password(argument: string | undefined, texts: Texts): Checked<string> {
  if (argument === undefined) return wrong(texts.givePassword);
  const text = decodeUtf8(argument);
  if (text === undefined) return wrong(texts.notUtf8);
  return isProhibited(saslPrepared(text)) ? wrong(texts.passwordNotAllowed) : right(text);
}

export interface NameAndDigest {
  readonly name: string;
  /** 32 digits of a hexadecimal number. */
  readonly digest: string;
}

export function nameAndDigest(argument: string | undefined, texts: Texts): Checked<NameAndDigest> {
  const blank = argument?.lastIndexOf(' ') ?? -1;
  if (argument === undefined || blank < 1) return wrong(texts.giveNameAndDigest);
  const digest = argument.slice(blank + 1);
  if (!DIGEST.test(digest)) return wrong(texts.giveNameAndDigest);
  const checked = prepared(argument.slice(0, blank), texts);
  return checked.ok ? right({ name: checked.value, digest }) : checked;
}

/** @returns the index of a message that is there and not marked as deleted. */
export function messageNumber(argument: string | undefined, texts: Texts, { drop, marks }: TransactionState): Checked<number> {
  if (argument === undefined || !DECIMAL.test(argument) || argument === '0') return wrong(texts.giveNumber);
  const index = Number(argument) - 1;
  if (index >= drop.messages.length) return wrong(texts.noSuchMessage(drop.messages.length));
  if (marks.has(index)) return wrong(texts.isDeleted(index + 1));
  return right(index);
}

export function maybeMessageNumber(
  argument: string | undefined,
  texts: Texts,
  state: TransactionState,
): Checked<number | undefined> {
  return argument === undefined ? right(undefined) : messageNumber(argument, texts, state);
}

export interface TopArgument {
  readonly index: number;
  readonly lines: number;
}

export function messageNumberAndLines(argument: string | undefined, texts: Texts, state: TransactionState): Checked<TopArgument> {
  const [message, lines, ...more] = argument?.split(' ') ?? [];
  if (lines === undefined || more.length > 0 || !DECIMAL.test(lines)) return wrong(texts.giveNumberAndLines);
  const index = messageNumber(message, texts, state);
  return index.ok ? right({ index: index.value, lines: Number(lines) }) : index;
}

function prepared(bytesAsText: string, texts: Texts): Checked<string> {
  const text = decodeUtf8(bytesAsText);
  if (text === undefined) return wrong(texts.notUtf8);
  const name = saslPrepared(text);
  return isProhibited(name) ? wrong(texts.nameNotAllowed) : right(name);
}

function right<A>(value: A): Checked<A> {
  return { ok: true, value };
}

function wrong(text: string): { readonly ok: false; readonly text: string } {
  return { ok: false, text };
}
