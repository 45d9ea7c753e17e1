/** NOOP (RFC 5321 §4.1.1.9): does nothing; an argument is allowed and ignored. */
import type { Reply } from '../../wire/reply.ts';
import { ok250 } from '../replies.ts';

export const doNothing = (): Reply => ok250;
