/** Whole steps of an SMTP session over talk.ts, for tests of the running server. */
import { sayAll, type Talk, talkTo } from './talk.ts';

/** A session that was greeted and has said EHLO. @throws Error with what was said instead */
export async function smtpSession(port: number, from?: string): Promise<Talk> {
  const talk = await talkTo(port, from);
  if (!talk.greeting.startsWith('220')) throw new Error(`no greeting, but ${talk.greeting}`);
  await sayAll(talk, [['EHLO client.test', '250']]);
  return talk;
}

/** MAIL, RCPT and DATA, up to the first reply that is no good one. @returns that, or 354 */
export async function beginMessage(talk: Talk, to: string, mailParameters = ''): Promise<string> {
  let reply = '';
  for (const line of [`MAIL FROM:<sender@elsewhere.test>${mailParameters}`, `RCPT TO:<${to}>`, 'DATA']) {
    reply = await talk.say(line);
    if (!/^[23]/.test(reply)) break;
  }
  return reply;
}

/** A whole transaction. @returns the reply to the message, or the first that is no good one */
export async function sendMessage(talk: Talk, to: string, body = 'text'): Promise<string> {
  const reply = await beginMessage(talk, to);
  return reply.startsWith('354') ? talk.say(`From: <sender@elsewhere.test>\r\nSubject: a test\r\n\r\n${body}\r\n.`) : reply;
}

/** The id under which a message was taken; the log has it, too. @throws Error for a reply that says nothing of the kind */
export function idIn(reply: string): string {
  const id = /^250 2\.0\.0 Ok: queued as (\S+)/.exec(reply)?.[1];
  if (id === undefined) throw new Error(`not taken: ${reply}`);
  return id;
}
