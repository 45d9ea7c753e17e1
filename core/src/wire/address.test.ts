import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { addressLiteral, isLoopback, literalOf } from './address-literal.ts';
import { parseDomain, parseMailbox, parsePath } from './address.ts';

const atom = fc.stringMatching(/^[a-zA-Z0-9!#$%&'*+/=?^_`{|}~-]{1,8}$/);
const dotString = fc.array(atom, { minLength: 1, maxLength: 4 }).map((atoms) => atoms.join('.'));
const quotedText = fc.stringMatching(/^[\x20-\x7e]{0,20}$/);
const label = fc.stringMatching(/^[a-zA-Z0-9]([a-zA-Z0-9-]{0,10}[a-zA-Z0-9])?$/);
const domain = fc.array(label, { minLength: 1, maxLength: 4 }).map((labels) => labels.join('.'));

function quote(text: string): string {
  return `"${text.replace(/["\\]/g, '\\$&')}"`;
}

describe('parsePath', () => {
  it('reads every dot-string at every domain as it stands, domain in lower case', () => {
    fc.assert(
      fc.property(dotString, domain, (local, name) => {
        const text = `${local}@${name.toLowerCase()}`;
        expect(parsePath(`x<${local}@${name}>y`, 1, 'nothing')).toEqual({
          ok: true,
          address: { local, domain: name.toLowerCase(), text },
          end: local.length + name.length + 4,
        });
      }),
    );
  });

  it('reads every quoted local part, and its text reads back as itself', () => {
    fc.assert(
      fc.property(quotedText, domain, (value, name) => {
        const path = parsePath(`<${quote(value)}@${name}>`, 0, 'nothing');
        if (!path.ok || path.address === null) throw new Error('not read');
        const { text, local } = path.address;
        expect(local.startsWith('"') ? local : quote(local)).toBe(quote(value));
        expect(parseMailbox(text)?.text).toBe(text);
      }),
    );
  });

  it('takes a source route and ignores it', () => {
    fc.assert(
      fc.property(fc.array(domain, { minLength: 1, maxLength: 2 }), dotString, domain, (route, local, name) => {
        const path = parsePath(`<${route.map((host) => `@${host}`).join(',')}:${local}@${name}>`, 0, 'nothing');
        expect(path).toMatchObject({ ok: true, address: { text: `${local}@${name.toLowerCase()}` } });
      }),
    );
  });

  it('never throws, and what it takes has no byte that could break a header or a reply', () => {
    const bytes = fc.string({ unit: fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code)), maxLength: 60 });
    const seeds = fc.constantFrom('<a@b>', '<"a b"@c>', '<@r:a@b>', '<a@[1.2.3.4]>', '<a@[IPv6:::1]>', '<postmaster>', '<>');
    fc.assert(
      fc.property(seeds, bytes, fc.nat(14), (seed, noise, at) => {
        const text = seed.slice(0, at) + noise + seed.slice(at);
        const path = parsePath(text, 0, 'postmaster');
        if (!path.ok || path.address === null) return;
        expect(path.address.text).toMatch(/^[\x20-\x7e\xa0-\xff]+$/);
        expect(path.end).toBeLessThanOrEqual(text.length);
        expect(text[path.end - 1]).toBe('>');
      }),
      { numRuns: 3000 },
    );
  });

  it('knows postmaster without a domain for recipients only', () => {
    expect(parsePath('<PostMaster>', 0, 'postmaster')).toMatchObject({ ok: true, address: { text: 'postmaster', domain: '' } });
    expect(parsePath('<PostMaster>', 0, 'nothing')).toEqual({ ok: false, problem: 'syntax' });
    expect(parsePath('<alice>', 0, 'postmaster')).toEqual({ ok: false, problem: 'syntax' });
  });

  it('takes the null path', () => {
    expect(parsePath('<>', 0, 'nothing')).toEqual({ ok: true, address: null, end: 2 });
  });

  it('says what is too long: local part 64, label 63, path 256', () => {
    const long = (text: string) => parsePath(text, 0, 'nothing');
    const name = `${'d'.repeat(63)}.${'e'.repeat(63)}.${'f'.repeat(60)}`;
    expect(long(`<${'a'.repeat(64)}@b>`).ok).toBe(true);
    expect(long(`<${'a'.repeat(65)}@b>`)).toEqual({ ok: false, problem: 'too-long' });
    expect(long(`<a@${'b'.repeat(64)}>`)).toEqual({ ok: false, problem: 'too-long' });
    expect(long(`<${'a'.repeat(65 - 1)}@${name}x>`).ok).toBe(true);
    expect(long(`<${'a'.repeat(65 - 1)}@${name}xx>`)).toEqual({ ok: false, problem: 'too-long' });
  });

  it('reads what RFC 6531 adds, the domain in A-labels', () => {
    const read = (text: string) => {
      const path = parsePath(text, 0, 'nothing');
      return path.ok ? path.address?.text : path.problem;
    };
    expect(read('<jörg@Bücher.example>')).toBe('jörg@xn--bcher-kva.example');
    expect(read('<"jörg"@b>')).toBe('jörg@b');
    expect(read('<"jörg x"@b>')).toBe('"jörg x"@b');
    expect(read('<用户@例子.测试>')).toBe('用户@xn--fsqu00a.xn--0zwm56d');
    expect(read('<@bücher.example,@b:a@ß.example>')).toBe('a@xn--zca.example');
    for (const text of ['<"\\ö"@b>', '<a\x9b@b>', '<a@\x85b>', '<a@\u0301b>', '<a@b\u200dc>', '<a@ö..b>', '<a@-ö>', '<a@ö/b>'])
      expect(read(text), text).toBe('syntax');
  });

  it('counts octets of UTF-8, of the domain those of its A-labels', () => {
    expect(parsePath(`<${'ö'.repeat(32)}@b>`, 0, 'nothing').ok).toBe(true);
    for (const text of [`<${'ö'.repeat(33)}@b>`, `<a@${'ö'.repeat(70)}.example>`, `<a@${'ö.'.repeat(90)}b>`])
      expect(parsePath(text, 0, 'nothing'), text).toEqual({ ok: false, problem: 'too-long' });
  });
});

describe('parseMailbox', () => {
  it('takes a whole mailbox and nothing else', () => {
    expect(parseMailbox('Alice@Example.ORG')?.text).toBe('Alice@example.org');
    for (const text of ['', 'alice', 'a@b>', '<a@b>', 'a@b c', '@r:a@b', 'a@b\r\n', 'postmaster', '>']) {
      expect(parseMailbox(text), text).toBeUndefined();
    }
  });
});

describe('parseDomain', () => {
  it('takes names and refuses what is none', () => {
    expect(parseDomain('MX_1.Example.org')).toBe('mx_1.example.org');
    for (const text of ['', '.', 'a.', '.a', 'a..b', '-a', 'a-', 'a b', 'a/b', '\xe4', 'x'.repeat(64)]) {
      expect(parseDomain(text), text).toBeUndefined();
    }
  });
});

describe('address literals', () => {
  it('reads IPv4 and IPv6, and nothing else', () => {
    for (const good of ['[1.2.3.4]', '[IPv6:::]', '[IPv6:::1]', '[IPv6:1::]', '[IPv6:1:2:3:4:5:6:7:8]']) {
      expect(addressLiteral(good, 0), good).toBe(good);
    }
    for (const bad of [
      '[]',
      '[1.2.3]',
      '[1.2.3.256]',
      '[1.2.3.4',
      '[IPv6:]',
      '[IPv6:1]',
      '[IPv6::::]',
      '[IPv6:1::2::3]',
      '[IPv6:12345::]',
      '[IPv6:1.2.3.4::]',
      '[tag:x]',
      '[::1]',
      '[IPv6:1:2:3:4:5:6:7:8:9]',
      '[IPv6:g::]',
    ]) {
      expect(addressLiteral(bad, 0), bad).toBeUndefined();
    }
  });

  // `[127.0.0.010]` was given to the system as it was, which read it as octal and called another host.
  it.each([
    ['[127.0.0.010]', '[127.0.0.10]'],
    ['[00.0.0.000]', '[0.0.0.0]'],
    ['[ipv6:2001:DB8:0:0:0:0:0:1]', '[IPv6:2001:db8::1]'],
    ['[IPv6:0001:0:0::]', '[IPv6:1::]'],
    ['[IPv6:::ffff:127.0.0.1]', '[127.0.0.1]'],
    ['[IPv6:::FFFF:7f00:1]', '[127.0.0.1]'],
    ['[IPv6:::ffff:127.0.0.010]', '[127.0.0.10]'],
    ['[IPv6:1:2:3:4:5:6:1.2.3.04]', '[IPv6:1:2:3:4:5:6:102:304]'],
  ])('has one spelling for an address: %s is %s', (written, meant) => {
    expect(addressLiteral(written, 0)).toBe(meant);
    expect(parseMailbox(`x@${written}`)?.text).toBe(`x@${meant}`);
    expect(parsePath(`<x@${written}> SIZE=1`, 0, 'nothing')).toMatchObject({ ok: true, end: written.length + 4 });
  });

  it('writes a socket address as a literal', () => {
    expect(literalOf('192.0.2.1')).toBe('[192.0.2.1]');
    expect(literalOf('::ffff:192.0.2.1')).toBe('[192.0.2.1]');
    expect(literalOf('2001:db8::1')).toBe('[IPv6:2001:db8::1]');
  });

  it('knows loopback in all its forms', () => {
    for (const address of ['127.0.0.1', '127.1.2.3', '::1', '::ffff:127.0.0.1', '::FFFF:127.0.0.1'])
      expect(isLoopback(address)).toBe(true);
    for (const address of ['128.0.0.1', '192.0.2.127', '::2', '::ffff:192.0.2.1', '1270.0.0.1', '']) {
      expect(isLoopback(address), address).toBe(false);
    }
  });
});
