/** HELP (RFC 5321 §4.1.1.8): the verbs of this listener, the same for every argument. */
import { Reply } from '../../wire/reply.ts';
import type { Conversation } from '../conversation.ts';

export function help({ profile, isLmtp, client }: Conversation): Reply {
  const verbs = [
    isLmtp ? 'LHLO' : 'HELO EHLO',
    'MAIL RCPT DATA BDAT RSET NOOP VRFY HELP QUIT',
    ...(client.mayStartTls ? ['STARTTLS'] : []),
    ...(profile.kind === 'submission' ? ['AUTH'] : []),
  ];
  return new Reply(214, '2.0.0', `Commands: ${verbs.join(' ')}\nSee RFC ${isLmtp ? '2033' : '5321'}`);
}
