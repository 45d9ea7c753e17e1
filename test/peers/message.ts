/** Messages for programs of others: what breaks when somebody on the way counts, splits, doubles or drops wrongly. */
import { randomBytes } from 'node:crypto';

/** @param story the name that the message can be found by */
export function messageOf(story: string, { from = `sender@${story}.test`, subject = story } = {}): Buffer {
  return Buffer.from(
    [
      `From: Sender <${from}>`,
      'To: Undisclosed recipients:;',
      'Date: Tue, 24 Nov 2026 10:00:00 +0000',
      `Message-ID: <${story}@sender.test>`,
      `Subject: ${subject}`,
      'MIME-Version: 1.0',
      'Content-Type: text/plain; charset=utf-8',
      'Content-Transfer-Encoding: 8bit',
      '',
      '.',
      '..two dots',
      '.dot at the start, blank line next',
      '',
      'Grüße aus Zürich — ☃',
      'x'.repeat(998),
      '  leading and trailing blanks  ',
      'From here it goes on',
      '',
      'the end',
      '',
      '',
    ].join('\r\n'),
  );
}

/** The same headers, with a body of about so many bytes that no two lines share. */
export function bigMessage(story: string, sizeBytes: number, from = `sender@${story}.test`): Buffer {
  const text = messageOf(story, { from });
  const head = text.subarray(0, text.indexOf('\r\n\r\n') + 4);
  const body = randomBytes(Math.ceil(((sizeBytes - head.length) / 78) * 57))
    .toString('base64')
    .replaceAll(/.{76}/g, '$&\r\n');
  return Buffer.concat([head, Buffer.from(`${body}\r\n`)]);
}
