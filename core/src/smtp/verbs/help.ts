/** HELP (RFC 5321 §4.1.1.8): the same few lines for every argument. */
import type { Reply } from '../../wire/reply.ts';
import { help214 } from '../replies.ts';

export const help = (): Reply => help214;
