/** QUIT (RFC 5321 §4.1.1.10): says goodbye and closes; an open transaction is thrown away. */
import { Reply } from '../../wire/reply.ts';
import type { Conversation } from '../conversation.ts';

export const quit = ({ profile }: Conversation): Reply =>
  new Reply(221, '2.0.0', `${profile.hostname} closing connection`, 'close');
