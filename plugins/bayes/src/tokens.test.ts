import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { hashToken } from './hash.ts';
import { readMessage } from './readable.ts';
import { tokensOf } from './tokens.ts';

async function tokens(message: string, limit = 1000): Promise<Set<string>> {
  return tokensOf(await readMessage(new Uint8Array(Buffer.from(message.replaceAll('\n', '\r\n')))), limit);
}

describe('tokensOf', () => {
  test('header words carry the prefix of their header, decoded', async () => {
    const found = await tokens('Subject: =?utf-8?q?caf=C3=A9?= Tickets\nFrom: "Ann" <ann@mail.example.org>\n\nhello\n');
    expect([...found]).toEqual(
      expect.arrayContaining(['s:café', 's:tickets', 'f:ann', 'f:mail.example.org', 'f:.example.org', 'hello']),
    );
  });
  test('of Received only the sending side counts, which names no time and no queue id', async () => {
    const found = await tokens(
      'Received: from relay.example (host.example [198.51.100.9]) by mx.us.test with ESMTP id 77; Mon\n\nx\n',
    );
    expect([...found]).toEqual(expect.arrayContaining(['h:relay.example', 'h:198.51.100.9', 'h:198.51.100']));
    expect([...found].join(' ')).not.toContain('us.test');
  });
  test('headers that others add, spam scores and results of checks, are no tokens', async () => {
    const found = await tokens('X-Spam-Flag: YES\nAuthentication-Results: mx; spf=fail\nList-Id: <some.list>\n\n');
    expect(found.size).toBe(0);
  });
  test('links give host, its domains and the words of the path, from text and from HTML', async () => {
    const found = await tokens(
      'Content-Type: text/html\n\n<p>Click<a href="http://u:p@Shop.example:8080/cheap/now?x=1">he<b>re</b></a></p>',
    );
    expect([...found]).toEqual(
      expect.arrayContaining(['u:shop.example', 'u:.example', 'u:port8080', 'u/cheap', 'u/now', 'clickhere']),
    );
    expect(await tokens('\nsee https://text.example/page now\n')).toContain('u:text.example');
  });
  test('scripts and styles are not words', async () => {
    const found = await tokens('Content-Type: text/html\n\n<style>p{colour:red}</style><script>evil()</script><p>words</p>');
    expect([...found]).toEqual(['c:text/html'.replace('/html', ''), 'c:html', 'words']);
  });
  test('scripts without spaces are cut in pairs of characters', async () => {
    const found = await tokens('Content-Type: text/plain; charset=utf-8\n\n免费发票\n');
    expect([...found]).toEqual(expect.arrayContaining(['免费', '费发', '发票']));
  });
  test('no more than the limit, headers first', async () => {
    const words = Array.from({ length: 500 }, (_, i) => `word${i}`).join(' ');
    const found = await tokens(`Subject: first\n\n${words}\n`, 50);
    expect(found.size).toBe(50);
    expect(found).toContain('s:first');
  });
});

describe('readMessage', () => {
  test('any bytes are read without an error', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 3000 }), async (bytes) => {
        tokensOf(await readMessage(new Uint8Array(bytes)), 500);
      }),
      { numRuns: 200 },
    );
  });
  test('what the parser refuses, such as thousands of parts inside parts, is read as text', async () => {
    let nested = '';
    for (let i = 0; i < 300; i++) nested += `Content-Type: multipart/mixed; boundary=b${i}\n\n--b${i}\n`;
    expect(await tokens(`${nested}\n\nprecious words\n`, 100_000)).toContain('precious');
  });
  test('256 KiB of open tags, of angle brackets and of headers each take well under a second', async () => {
    const limit = 256 * 1024;
    for (const piece of ['<div><b ', '<', '<a href="', '&#x', '=?utf-8?q?', 'a.', '\u{4e00}']) {
      const body = piece.repeat(limit / piece.length);
      for (const head of [
        'Content-Type: text/html\n\n',
        'Content-Type: text/plain; charset=utf-8\n\n',
        'Subject: ',
        'Content-Type: a; b="',
      ]) {
        const start = performance.now();
        await tokens(head + body);
        expect(performance.now() - start).toBeLessThan(1000);
      }
    }
  });
});

describe('hashToken', () => {
  test('is a 48-bit integer and does not move: models hold it', () => {
    expect(hashToken('hello')).toBe(hashToken('hello'));
    fc.assert(
      fc.property(fc.string(), (token) => {
        const hash = hashToken(token);
        expect(Number.isInteger(hash) && hash >= 0 && hash < 2 ** 48).toBe(true);
      }),
    );
  });
  test('a hundred thousand tokens do not meet', () => {
    const hashes = new Set(Array.from({ length: 100_000 }, (_, i) => hashToken(`token${i}`)));
    expect(hashes.size).toBe(100_000);
  });
});
