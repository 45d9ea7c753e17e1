/** Checks what stands behind a verb, before any plugin is asked. Strict: a number is digits without sign or leading zero. */
import type { TransactionState } from './conversation.ts';

export type Checked<A> = { readonly ok: true; readonly value: A } | { readonly ok: false; readonly text: string };

const DECIMAL = /^(?:0|[1-9]\d{0,9})$/;

export function nothing(argument: string | undefined): Checked<undefined> {
  return argument === undefined ? { ok: true, value: undefined } : wrong('No argument is allowed here');
}

/** One or more characters, spaces among them; read as UTF-8. */
export function anything(what: string): (argument: string | undefined) => Checked<string> {
  return (argument) =>
    argument === undefined ? wrong(`Give ${what}`) : { ok: true, value: Buffer.from(argument, 'latin1').toString('utf8') };
}

/** @returns the index of a message that is there and not marked as deleted. */
export function messageNumber(argument: string | undefined, state: TransactionState): Checked<number> {
  if (argument === undefined || !DECIMAL.test(argument) || argument === '0') return wrong('Give the number of a message');
  const index = Number(argument) - 1;
  if (index >= state.drop.messages.length) return wrong(`No such message, only ${state.drop.messages.length} in maildrop`);
  if (state.marks.has(index)) return wrong(`Message ${argument} is deleted`);
  return { ok: true, value: index };
}

export function maybeMessageNumber(argument: string | undefined, state: TransactionState): Checked<number | undefined> {
  return argument === undefined ? { ok: true, value: undefined } : messageNumber(argument, state);
}

export interface TopArgument {
  readonly index: number;
  readonly lines: number;
}

export function messageNumberAndLines(argument: string | undefined, state: TransactionState): Checked<TopArgument> {
  const [message, lines, ...more] = argument?.split(' ') ?? [];
  if (lines === undefined || more.length > 0 || !DECIMAL.test(lines)) return wrong('Give the number of a message and of lines');
  const index = messageNumber(message, state);
  return index.ok ? { ok: true, value: { index: index.value, lines: Number(lines) } } : index;
}

function wrong(text: string): { readonly ok: false; readonly text: string } {
  return { ok: false, text };
}
