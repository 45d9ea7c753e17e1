/** The body of LIST and UIDL without an argument: a line for each message not marked as deleted, then the dot. */
import type { TransactionState } from './conversation.ts';
import type { Outcome } from './outcome.ts';
import type { DropMessage } from './ports.ts';

const MESSAGES_PER_BLOCK = 1000;

/** One block for a maildrop of usual size; else blocks made while they are sent, so that memory stays bounded. */
export function listing(state: TransactionState, describe: (message: DropMessage) => string): Pick<Outcome, 'body' | 'stream'> {
  const count = state.drop.messages.length;
  if (count <= MESSAGES_PER_BLOCK) return { body: [block(state, describe, 0, count)] };
  return { stream: blocks(state, describe, count) };
}

function* blocks(state: TransactionState, describe: (message: DropMessage) => string, count: number): Generator<Uint8Array> {
  for (let from = 0; from < count; from += MESSAGES_PER_BLOCK) {
    yield block(state, describe, from, Math.min(from + MESSAGES_PER_BLOCK, count));
  }
}

function block(state: TransactionState, describe: (message: DropMessage) => string, from: number, to: number): Uint8Array {
  const { drop, marks } = state;
  let text = '';
  for (let index = from; index < to; index++) {
    if (!marks.has(index)) text += `${index + 1} ${describe(drop.messages[index]!)}\r\n`;
  }
  return Buffer.from(to === drop.messages.length ? `${text}.\r\n` : text, 'latin1');
}
