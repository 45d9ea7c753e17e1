/** HELP (RFC 5321 §4.1.1.8): the same few lines for every argument. */
import type { Command } from '../command.ts';
import { anywhere, asksNobody } from '../command.ts';
import { help214 } from '../replies.ts';

export const help: Command<undefined> = {
  verb: 'HELP',
  idle: true,
  stage: null,
  rule: anywhere,
  check: () => undefined,
  ask: asksNobody,
  proceed: () => help214,
};
