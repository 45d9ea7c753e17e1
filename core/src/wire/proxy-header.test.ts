import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { crc32c } from './crc32c.ts';
import { readProxyHeader } from './proxy-header.ts';

const SIGNATURE = Buffer.from('\r\n\r\n\0\r\nQUIT\n');

function v2(command: number, family: number, body: Uint8Array): Buffer {
  const head = Buffer.from([0x20 | command, family, body.length >> 8, body.length & 0xff]);
  return Buffer.concat([SIGNATURE, head, body]);
}
const tlv = (type: number, value: Uint8Array) =>
  Buffer.concat([Buffer.from([type, value.length >> 8, value.length & 255]), value]);
const ADDRESSES4 = Buffer.from([192, 0, 2, 7, 203, 0, 113, 1, 0x0f, 0xb9, 0, 25]);
const ADDRESSES6 = Buffer.concat([
  Buffer.from('20010db8000000000000000000000007', 'hex'),
  Buffer.from('20010db8000000000000000000000001', 'hex'),
  Buffer.from([0x0f, 0xb9, 0, 25]),
]);

function checksummed(header: Buffer): Buffer {
  const whole = Buffer.from(header);
  whole.writeUInt32BE(crc32c(whole), whole.length - 4);
  return whole;
}

describe('version 1', () => {
  it.each([
    ['PROXY TCP4 192.0.2.7 203.0.113.1 4025 25\r\n', { address: '192.0.2.7', port: 4025 }],
    ['PROXY TCP6 2001:DB8::7 2001:db8::1 4025 25\r\n', { address: '2001:db8::7', port: 4025 }],
    ['PROXY TCP6 ::ffff:192.0.2.7 ::ffff:203.0.113.1 1 25\r\n', { address: '192.0.2.7', port: 1 }],
    ['PROXY UNKNOWN\r\n', undefined],
    ['PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n', undefined],
  ])('%j is taken', (line, client) => {
    const bytes = Buffer.from(`${line}EHLO x\r\n`);
    expect(readProxyHeader(bytes)).toEqual({ is: 'whole', usedBytes: line.length, client });
  });

  it.each([
    'PROXY TCP4 192.0.2.7 203.0.113.1 4025\r\n',
    'PROXY TCP4 192.0.2.7 203.0.113.1 4025 25 more\r\n',
    'PROXY TCP4  192.0.2.7 203.0.113.1 4025 25\r\n',
    'PROXY TCP4 192.0.2.256 203.0.113.1 4025 25\r\n',
    'PROXY TCP4 192.0.2.07 203.0.113.1 4025 25\r\n',
    'PROXY TCP4 2001:db8::7 2001:db8::1 4025 25\r\n',
    'PROXY TCP6 192.0.2.7 203.0.113.1 4025 25\r\n',
    'PROXY TCP6 fe80::1%eth0 2001:db8::1 4025 25\r\n',
    'PROXY TCP4 192.0.2.7 203.0.113.1 65536 25\r\n',
    'PROXY TCP4 192.0.2.7 203.0.113.1 -1 25\r\n',
    'PROXY TCP4 192.0.2.7 203.0.113.1 04025 25\r\n',
    'PROXY UDP4 192.0.2.7 203.0.113.1 4025 25\r\n',
    'proxy TCP4 192.0.2.7 203.0.113.1 4025 25\r\n',
    'EHLO client.example\r\n',
    `PROXY UNKNOWN ${'x'.repeat(100)}\r\n`,
  ])('%j is bad', (line) => expect(readProxyHeader(Buffer.from(line)).is).toBe('bad'));
});

describe('version 2', () => {
  it('gives the client over IPv4 and IPv6, and leaves what follows', () => {
    const four = v2(1, 0x11, ADDRESSES4);
    expect(readProxyHeader(Buffer.concat([four, Buffer.from('EHLO')]))).toEqual({
      is: 'whole',
      usedBytes: 28,
      client: { address: '192.0.2.7', port: 4025 },
    });
    expect(readProxyHeader(v2(1, 0x21, ADDRESSES6))).toMatchObject({ client: { address: '2001:db8::7', port: 4025 } });
  });

  it('takes LOCAL, no family and a unix socket for connections of the proxy itself', () => {
    for (const header of [
      v2(0, 0x11, ADDRESSES4),
      v2(0, 0, Buffer.alloc(0)),
      v2(1, 0, Buffer.from('xx')),
      v2(1, 0x31, Buffer.alloc(216)),
    ]) {
      expect(readProxyHeader(header)).toEqual({ is: 'whole', usedBytes: header.length, client: undefined });
    }
  });

  it('skips TLVs, and holds a checksum against the whole header', () => {
    const body = Buffer.concat([ADDRESSES4, tlv(0x02, Buffer.from('mx.example.org')), tlv(0x03, Buffer.alloc(4))]);
    const right = checksummed(v2(1, 0x11, body));
    expect(readProxyHeader(right)).toMatchObject({ client: { address: '192.0.2.7' } });
    for (const at of [16, 24, 40, right.length - 1]) {
      const wrong = Buffer.from(right);
      wrong[at]! ^= 1;
      expect(readProxyHeader(wrong)).toEqual({ is: 'bad', cause: 'PROXY checksum is wrong' });
    }
  });

  it.each([
    ['another version', Buffer.concat([SIGNATURE, Buffer.from([0x11, 0x11, 0, 0])])],
    ['an unknown command', v2(2, 0x11, ADDRESSES4)],
    ['datagrams', v2(1, 0x12, ADDRESSES4)],
    ['addresses cut short', v2(1, 0x21, ADDRESSES4)],
    ['a TLV cut short', v2(1, 0x11, Buffer.concat([ADDRESSES4, Buffer.from([4, 0])]))],
    ['a TLV longer than the header', v2(1, 0x11, Buffer.concat([ADDRESSES4, Buffer.from([4, 0, 9, 1])]))],
    ['a checksum of another length', v2(1, 0x11, Buffer.concat([ADDRESSES4, tlv(3, Buffer.alloc(3))]))],
    ['more than any proxy says', Buffer.concat([SIGNATURE, Buffer.from([0x21, 0x11, 0xff, 0xff])])],
  ])('%s is bad', (_what, header) => expect(readProxyHeader(header).is).toBe('bad'));
});

it('asks for more at every cut of a good header', () => {
  const line = Buffer.from('PROXY TCP6 2001:db8::7 2001:db8::1 4025 25\r\n');
  const binary = checksummed(v2(1, 0x11, Buffer.concat([ADDRESSES4, tlv(3, Buffer.alloc(4))])));
  for (const header of [line, binary]) {
    for (let at = 0; at < header.length; at += 1) expect(readProxyHeader(header.subarray(0, at))).toEqual({ is: 'more' });
  }
});

it('never throws, never uses more than there is, and never changes its mind when more comes', () => {
  const start = fc.constantFrom(
    SIGNATURE,
    Buffer.concat([SIGNATURE, Buffer.from([0x21, 0x11])]),
    Buffer.from('PROXY TCP4 '),
    Buffer.alloc(0),
  );
  fc.assert(
    fc.property(start, fc.uint8Array({ maxLength: 300 }), fc.nat(), (head, rest, cut) => {
      const bytes = Buffer.concat([head, rest]);
      const whole = readProxyHeader(bytes);
      if (whole.is === 'whole') expect(whole.usedBytes).toBeLessThanOrEqual(bytes.length);
      const part = readProxyHeader(bytes.subarray(0, cut % (bytes.length + 1)));
      if (part.is !== 'more') expect(part).toEqual(whole);
    }),
  );
});

it('writes every IPv6 address so that it reads back as the same', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), fc.nat(15), (random, zeroed) => {
      const address = Buffer.from(random).fill(0, zeroed & ~1, Math.min(16, (zeroed & ~1) + 6));
      const header = readProxyHeader(v2(1, 0x21, Buffer.concat([address, Buffer.alloc(20)])));
      if (header.is !== 'whole' || header.client === undefined) expect.unreachable();
      const text = header.client.address;
      if (text.includes('.')) return;
      expect(new URL(`http://[${text}]/`).hostname).toBe(`[${text}]`);
      const again = readProxyHeader(Buffer.from(`PROXY TCP6 ${text} ::1 1 1\r\n`));
      expect(again).toMatchObject({ client: { address: text } });
    }),
  );
});

it('computes the checksum of RFC 3720 §B.4', () => {
  expect(crc32c(Buffer.alloc(32))).toBe(0x8a9136aa);
  expect(crc32c(Buffer.from('123456789'))).toBe(0xe3069283);
});
