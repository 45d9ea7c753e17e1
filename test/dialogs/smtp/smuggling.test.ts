/**
 * SMTP smuggling in every form that was published, and those next to them: what another server might take for the end of
 * data, with a second message behind it. By DATA and by BDAT, whole and cut in two at every position of it, under both
 * policies: one message at the most, which no next hop can take for two either.
 */
import { createSmtpSession } from '@posthorn/core/smtp/session';
import { describe, expect, it } from 'vitest';
import { createKit, RecordingOutput, settled } from '../../lib/smtp-ports.ts';

/** Line ends that somebody takes for one, and what somebody leaves out. */
const ENDS = ['\n', '\r', '\r\n', '\r\r\n', '\n\r', '\r\0\n', '\0\r\n', '\r\n\0', '\x0b', '\x85'];
const DOTS = ['.', '\0.', '.\0', '. ', '.\t', '..'];
const END = '\r\n.\r\n';
const FORMS = ENDS.map((before) => {
  const forms = DOTS.flatMap((dot) => ENDS.map((after) => `${before}${dot}${after}`));
  return [before, forms.filter((form) => !form.includes(END))] as const;
});
const EVIL = 'MAIL FROM:<evil@b.example>\r\nRCPT TO:<bob@example.org>\r\nDATA\r\nFrom: evil\r\n';
const ENVELOPE = 'EHLO client.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<alice@example.org>\r\n';

async function play(text: string, bareLineEnds: 'refuse' | 'normalise', cutAt: number) {
  const kit = createKit({ profile: { bareLineEnds } });
  const output = new RecordingOutput();
  const session = createSmtpSession(kit.ports, kit.profile, { address: '192.0.2.7', port: 1, sessionId: 'S1' }, output);
  session.start();
  const bytes = Buffer.from(text, 'latin1');
  session.feed(bytes.subarray(0, cutAt));
  session.feed(bytes.subarray(cutAt));
  await settled(session);
  const codes = [...output.text.matchAll(/^(\d{3}) /gm)].map((match) => Number(match[1]));
  return { codes, taken: kit.taken.map((message) => message.text) };
}

/** What is sent on, as the least careful of next hops may read it: NUL left out, any line end one. */
function readCarelessly(text: string): string[] {
  const stuffed = text.split('\r\n').map((line) => (line.startsWith('.') ? `.${line}` : line));
  return stuffed
    .join('\r\n')
    .replaceAll('\0', '')
    .split(/\r\n|\r|\n/);
}

/** At the most one message, and none that a next hop could take for two. */
function expectNoSecond({ codes, taken }: Awaited<ReturnType<typeof play>>, form: string): void {
  const name = JSON.stringify(form);
  const last = codes.at(-1);
  expect([250, 550], name).toContain(last);
  expect(taken.length, name).toBe(last === 250 ? 1 : 0);
  for (const message of taken) {
    expect(message, name).not.toMatch(/\r(?!\n)|(?<!\r)\n/);
    expect(readCarelessly(message), name).not.toContain('.');
  }
}

describe.each(['refuse', 'normalise'] as const)('with bareLineEnds: %s', (policy) => {
  it.each(FORMS.map(([before, forms]) => [JSON.stringify(before), forms] as const))(
    '%s before a dot is no end by DATA',
    async (_name, forms) => {
      for (const form of forms) {
        const before = `${ENVELOPE}DATA\r\nSubject: x\r\n\r\nx`;
        const text = `${before}${form}${EVIL}${END}`;
        const whole = await play(text, policy, text.length);
        // Replies up to 354, and one to the message.
        expect(whole.codes.slice(0, -1), form).toEqual([220, 250, 250, 250, 354]);
        expectNoSecond(whole, form);
        for (let at = before.length - 1; at <= before.length + form.length + 1; at += 1)
          expect(await play(text, policy, at), form).toEqual(whole);
      }
    },
  );

  it.each(FORMS.map(([before, forms]) => [JSON.stringify(before), forms] as const))(
    '%s before a dot is no end by BDAT, in one chunk or cut by two',
    async (_name, forms) => {
      for (const form of forms) {
        for (let at = 0; at <= form.length; at += 1) {
          const first = `Subject: x\r\n\r\nx${form.slice(0, at)}`;
          const last = `${form.slice(at)}${EVIL}`;
          const text = `${ENVELOPE}BDAT ${first.length}\r\n${first}BDAT ${last.length} LAST\r\n${last}`;
          const played = await play(text, policy, ENVELOPE.length);
          expect(played.codes, form).toHaveLength(6);
          expectNoSecond(played, form);
        }
      }
    },
  );
});
