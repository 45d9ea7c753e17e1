import { describe, expect, it } from 'vitest';
import { headerDate, protocolKeyword, receivedHeader } from './received.ts';

const origin = {
  listener: 'mx',
  clientAddress: '2001:db8::7',
  clientPort: 4025,
  helo: 'client.example',
  protocol: 'ESMTPS',
  sessionId: 'S1',
};

const BARE = {
  hostname: 'h',
  id: 'i',
  origin,
  tls: undefined,
  onlyRecipient: undefined,
  priority: undefined,
  receivedAtMs: 0,
  hideClient: false,
};

describe('receivedHeader', () => {
  it('has the clauses of RFC 5321 §4.4 and the cipher suite of RFC 8314 §4.3', () => {
    const header = receivedHeader({
      hostname: 'mx.example.org',
      id: 'ID1',
      origin,
      tls: { version: 'TLSv1.3', cipher: 'TLS_AES_128_GCM_SHA256' },
      onlyRecipient: 'alice@example.org',
      priority: undefined,
      receivedAtMs: Date.UTC(2026, 1, 3, 4, 5, 6),
      hideClient: false,
    });
    expect(header).toBe(
      'Received: from client.example ([IPv6:2001:db8::7])\r\n' +
        '\t(using TLSv1.3 with cipher TLS_AES_128_GCM_SHA256)\r\n' +
        '\tby mx.example.org (Posthorn) with ESMTPS id ID1\r\n' +
        '\tfor <alice@example.org>\r\n' +
        '\ttls TLS_AES_128_GCM_SHA256;\r\n' +
        '\tTue, 03 Feb 2026 04:05:06 +0000\r\n',
    );
  });

  it('says nothing of a client that is hidden', () => {
    const header = receivedHeader({
      ...BARE,
      hostname: 'mx.example.org',
      id: 'ID1',
      origin: { ...origin, clientName: 'laptop.example' },
      hideClient: true,
    });
    expect(header).toBe('Received: by mx.example.org (Posthorn) with ESMTPS id ID1;\r\n\tThu, 01 Jan 1970 00:00:00 +0000\r\n');
  });

  it('names no recipient where there are several', () => {
    expect(receivedHeader(BARE)).not.toContain('for ');
  });

  it('has the priority of a message that has one (RFC 6710 §4.1)', () => {
    expect(receivedHeader({ ...BARE, priority: -4 })).toContain('\r\n\tby h (Posthorn) with ESMTPS id i\r\n\tPRIORITY -4;\r\n');
    expect(receivedHeader(BARE)).not.toContain('PRIORITY');
  });
});

describe('protocolKeyword', () => {
  it('is that of RFC 3848', () => {
    expect(protocolKeyword(false, true, false, false)).toBe('SMTP');
    expect(protocolKeyword(true, false, false, false)).toBe('ESMTP');
    expect(protocolKeyword(true, true, false, false)).toBe('ESMTPS');
    expect(protocolKeyword(true, false, true, false)).toBe('ESMTPA');
    expect(protocolKeyword(true, true, true, false)).toBe('ESMTPSA');
    expect(protocolKeyword(true, false, false, true)).toBe('UTF8SMTP');
    expect(protocolKeyword(true, true, true, true)).toBe('UTF8SMTPSA');
  });
});

describe('headerDate', () => {
  it('is an RFC 5322 date in UTC', () => {
    expect(headerDate(0)).toBe('Thu, 01 Jan 1970 00:00:00 +0000');
  });
});
