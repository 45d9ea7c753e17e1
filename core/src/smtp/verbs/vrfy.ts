/** VRFY (RFC 5321 §3.5.3): never tells who is here, 252 for everybody. */
import type { Command } from '../command.ts';
import { anywhere, asksNobody } from '../command.ts';
import { argumentNeeded501, cannotVerify252 } from '../replies.ts';

export const vrfy: Command<undefined> = {
  verb: 'VRFY',
  idle: true,
  stage: null,
  rule: anywhere,
  check: (_conversation, argument) => (argument === '' ? argumentNeeded501 : undefined),
  ask: asksNobody,
  proceed: () => cannotVerify252,
};
