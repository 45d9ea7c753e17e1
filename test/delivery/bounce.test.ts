/** What a bounce says, read by a MIME parser that is not ours. */
import { type BounceInput, buildBounce, mayBounce } from '@posthorn/core/delivery/bounce';
import PostalMime from 'postal-mime';
import { describe, expect, it } from 'vitest';

const envelope: BounceInput['envelope'] = {
  id: 'abc123',
  receivedAtMs: Date.UTC(2026, 10, 20, 8, 0, 0),
  reversePath: 'sender@x.test',
  recipients: [{ address: 'one@y.test' }, { address: 'two@y.test', original: 'alias@x.test' }],
  origin: { listener: 'mx', clientAddress: '192.0.2.9', clientPort: 1, helo: 'client', protocol: 'ESMTP', sessionId: 's1' },
  sizeBytes: 100,
  body: '7bit',
};

function bounceOf(over: Partial<BounceInput> = {}): Uint8Array {
  return buildBounce({
    envelope,
    failures: [
      { recipient: envelope.recipients[0]!, reply: '550 5.1.1 no such user', peer: 'mx.y.test[192.0.2.1]:25', expired: false },
      { recipient: envelope.recipients[1]!, reply: '450 4.2.0 greylisted', peer: '[2001:db8::1]:25', expired: true },
    ],
    header: Buffer.from('Subject: hello\r\nMessage-ID: <m1@x.test>\r\n\r\nbody\r\n'),
    hostname: 'me.test',
    id: 'b1',
    nowMs: Date.UTC(2026, 10, 25, 8, 0, 0),
    ...over,
  });
}

async function parse(bytes: Uint8Array) {
  const mail = await PostalMime.parse(bytes, { forceRfc822Attachments: true });
  const partOf = (type: string): string => {
    const found = mail.attachments.find(({ mimeType }) => mimeType === type);
    const content = found?.content ?? '';
    return typeof content === 'string' ? content : Buffer.from(content as ArrayBuffer).toString('latin1');
  };
  return { mail, status: partOf('message/delivery-status'), original: partOf('text/rfc822-headers') };
}

describe('a bounce', () => {
  it('is addressed as an answer by a machine, in the thread of the message', async () => {
    const { mail } = await parse(bounceOf());
    const header = (key: string): string | undefined => mail.headers.find((one) => one.key === key)?.value;
    expect(mail.from?.address).toBe('MAILER-DAEMON@me.test');
    expect(mail.to?.[0]?.address).toBe('sender@x.test');
    expect(header('auto-submitted')).toBe('auto-replied');
    expect(header('in-reply-to')).toBe('<m1@x.test>');
    expect(header('content-type')).toMatch(/^multipart\/report; report-type=delivery-status;/);
    expect(new Date(mail.date ?? '').getTime()).toBe(Date.UTC(2026, 10, 25, 8, 0, 0));
  });

  it('of a message that was held tells when that came, and what was asked (RFC 4865 §5.1.2)', async () => {
    const hold = { untilMs: Date.UTC(2026, 10, 20, 9, 0, 0), request: 'for;3600' };
    const { status } = await parse(bounceOf({ envelope: { ...envelope, hold } }));
    expect(status).toMatch(/Arrival-Date: Fri, 20 Nov 2026 08:00:00 \+0000\r?\nFuture-Release-Request: for;3600\r?\n/);
    expect((await parse(bounceOf())).status).not.toContain('Future-Release');
  });

  it('tells people who was not reached, and why', async () => {
    const { mail } = await parse(bounceOf());
    expect(mail.text).toContain('<one@y.test>');
    expect(mail.text?.replaceAll(/\s+/g, ' ')).toContain('mx.y.test[192.0.2.1]:25 said: 550 5.1.1 no such user');
    expect(mail.text?.replaceAll(/\s+/g, ' ')).toContain('<two@y.test> (sent to alias@x.test)');
    expect(mail.text).toContain('4.4.7');
  });

  it('tells programs the same (RFC 3464)', async () => {
    const { status } = await parse(bounceOf());
    const [whole, one, two] = status.split('\n\n');
    expect(whole).toContain('Reporting-MTA: dns; me.test');
    expect(whole).toContain('Arrival-Date: Fri, 20 Nov 2026 08:00:00 +0000');
    expect(one?.split('\n')).toEqual([
      'Final-Recipient: rfc822; one@y.test',
      'Action: failed',
      'Status: 5.1.1',
      'Remote-MTA: dns; mx.y.test',
      'Diagnostic-Code: smtp; 550 5.1.1 no such user',
      'Last-Attempt-Date: Wed, 25 Nov 2026 08:00:00 +0000',
    ]);
    expect(two).toContain('Original-Recipient: rfc822; alias@x.test');
    expect(two).toContain('Status: 4.4.7');
    expect(two).not.toContain('Remote-MTA');
  });

  it('brings the header of the message, and nothing of its body', async () => {
    const { original } = await parse(bounceOf());
    expect(original.trimEnd()).toBe('Subject: hello\nMessage-ID: <m1@x.test>');
  });

  it('is 7-bit with short lines whatever the header and the peer hold', async () => {
    const bytes = bounceOf({
      header: Buffer.from(
        `Subject: \xfc\0\x1b[31m\r\nX-Long: ${'y'.repeat(5000)}\r\n--=_b1/me.test\r\nX: bare\ncr\rs\r\n`,
        'latin1',
      ),
      failures: [{ recipient: envelope.recipients[0]!, reply: `550 ${'word '.repeat(90)}`, peer: undefined, expired: false }],
    });
    const text = Buffer.from(bytes).toString('latin1');
    expect(text).toMatch(/^[\t\r\n\x20-\x7e]*$/);
    expect(text.replaceAll('\r\n', '')).not.toMatch(/[\r\n]/);
    expect(Math.max(...text.split('\r\n').map((line) => line.length))).toBeLessThanOrEqual(998);
  });

  it('is not broken by a header that holds its boundary', async () => {
    const { original } = await parse(bounceOf({ header: Buffer.from('A: 1\r\n--=_b1/me.test--\r\nB: 2\r\n\r\n') }));
    expect(original).toContain('B: 2');
  });

  it('is bounded for a header without end', async () => {
    expect(bounceOf({ header: Buffer.alloc(10_000_000, 'X: y\r\n') }).length).toBeLessThan(40_000);
  });
});

describe('a bounce is sent', () => {
  it('never for the null reverse-path', () => {
    expect(mayBounce({ ...envelope, reversePath: '' })).toBe(false);
  });

  it('for quarantined mail only to a sender who logged in', () => {
    expect(mayBounce({ ...envelope, quarantine: 'spam' })).toBe(false);
    expect(mayBounce({ ...envelope, quarantine: 'spam', origin: { ...envelope.origin, user: 'alice' } })).toBe(true);
  });
});
