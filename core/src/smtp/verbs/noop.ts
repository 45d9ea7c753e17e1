/** NOOP (RFC 5321 §4.1.1.9): does nothing; an argument is allowed and ignored. */
import type { Command } from '../command.ts';
import { anywhere, asksNobody } from '../command.ts';
import { ok250 } from '../replies.ts';

export const noop: Command<undefined> = {
  verb: 'NOOP',
  idle: true,
  stage: null,
  rule: anywhere,
  check: () => undefined,
  ask: asksNobody,
  proceed: () => ok250,
};
