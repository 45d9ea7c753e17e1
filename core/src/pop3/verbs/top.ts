/** TOP (RFC 1939 §7): the header and so many lines of the body. Asks the stage of RETR: it can give the whole message. */
import type { TopArgument } from '../argument.ts';
import type { Conversation, TransactionState } from '../conversation.ts';
import { sendMessage } from '../message-body.ts';
import { ok, type Outcome } from '../outcome.ts';
import { TopCutter } from '../top-cutter.ts';

export function top(c: Conversation, state: TransactionState, { index, lines }: TopArgument): Outcome | Promise<Outcome> {
  return sendMessage(c, state, index, new TopCutter(lines), () => ok(c.texts.top));
}
