import { generateKeyPairSync } from 'node:crypto';
import { dkimSign } from 'mailauth';
import { describe, expect, test } from 'vitest';
import { ask, HOSTNAME, resultOf, txtZone, zoneDns, type Mail } from './ask.ts';

const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const KEY = publicKey.export({ type: 'spki', format: 'der' }).toString('base64');
const ZONE = txtZone({
  'sender.example': 'v=spf1 ip4:192.0.2.1 -all',
  'soft.example': 'v=spf1 ~all',
  'strict.example': 'v=spf1 -all',
  '_dmarc.strict.example': 'v=DMARC1; p=reject',
  '_dmarc.sender.example': 'v=DMARC1; p=reject',
  'k1._domainkey.sender.example': `v=DKIM1; k=rsa; p=${KEY}`,
});
const FROM_SENDER = 'From: Ann <ann@sender.example>\r\nSubject: hello\r\nDate: Mon, 1 Jun 2026 10:00:00 +0000\r\n';
const FROM_STRICT = 'From: Eve <eve@strict.example>\r\n\r\nhello\r\n';

async function signed(content: string): Promise<string> {
  const pem = privateKey.export({ type: 'pkcs8', format: 'pem' });
  // The library signs by `signatureData`; its types ask for one signature's fields beside it.
  const key = { signingDomain: 'sender.example', selector: 'k1', privateKey: pem };
  const { signatures } = await dkimSign(content, { ...key, signatureData: [key] });
  return signatures + content;
}

describe('sender-auth', () => {
  test('a message that is signed and sent by its domain passes all, in one header with our name', async () => {
    const content = await signed(`${FROM_SENDER}\r\nhello\r\n`);
    const { header, evidence, results } = await ask({ content, reversePath: 'ann@sender.example' }, ZONE);
    expect(header.startsWith(`${HOSTNAME}; `)).toBe(true);
    expect(['spf', 'dkim', 'dmarc'].map((method) => resultOf(header, method))).toEqual(['pass', 'pass', 'pass']);
    expect([...evidence.keys()]).toEqual(['SPF_PASS', 'DKIM_PASS', 'DMARC_PASS']);
    expect(results.flatMap((one) => (one.kind === 'edit' ? one.edits : []))).toHaveLength(1);
  });
  test('a message of 3 MB in a spool file is verified as one in memory', async () => {
    const content = await signed(`${FROM_SENDER}\r\n${'some text in a long body\r\n'.repeat(120_000)}`);
    const inMemory = await ask({ content }, ZONE);
    const inFile = await ask({ content, inFile: true }, ZONE);
    expect(resultOf(inFile.header, 'dkim')).toBe('pass');
    expect(inFile.header).toBe(inMemory.header);
  });
  test('a signature over another body fails', async () => {
    const content = `${await signed(`${FROM_SENDER}\r\nhello\r\n`)}one more line\r\n`;
    const { header, evidence } = await ask({ content }, ZONE);
    expect(resultOf(header, 'dkim')).toBe('fail');
    expect(evidence.has('DKIM_FAIL')).toBe(true);
  });
  test('SPF failures are evidence, unless DMARC passes on a signature', async () => {
    const unsigned = await ask({ content: `${FROM_SENDER}\r\nx\r\n`, reversePath: 'a@strict.example' }, ZONE);
    expect(unsigned.evidence.get('SPF_FAIL')).toBe(1.5);
    const soft = await ask({ content: `${FROM_SENDER}\r\nx\r\n`, reversePath: 'a@soft.example' }, ZONE);
    expect(soft.evidence.get('SPF_SOFTFAIL')).toBe(0.7);
    const forwarded = await ask({ content: await signed(`${FROM_SENDER}\r\nx\r\n`), reversePath: 'a@strict.example' }, ZONE);
    expect([...forwarded.evidence.keys()]).toEqual(['DKIM_PASS', 'DMARC_PASS']);
  });
  test('the null reverse-path is checked by the HELO name', async () => {
    const { header } = await ask({ content: FROM_STRICT, helo: 'sender.example' }, ZONE);
    expect(header).toContain('spf=pass');
    expect(header).toContain('smtp.helo=sender.example');
  });
  test('weights are the operator’s, 0 leaves evidence out', async () => {
    const weights = { SPF_FAIL: 4, DMARC_REJECT: 0 };
    const { evidence } = await ask({ content: FROM_STRICT, reversePath: 'eve@strict.example' }, ZONE, { weights });
    expect([...evidence]).toEqual([['SPF_FAIL', 4]]);
  });
});

describe('DMARC', () => {
  test('p=reject is evidence by default', async () => {
    const { evidence, results } = await ask({ content: FROM_STRICT, reversePath: 'eve@strict.example' }, ZONE);
    expect(evidence.get('DMARC_REJECT')).toBe(5);
    expect(results.map(({ kind }) => kind)).not.toContain('reject');
  });
  test('p=reject is honoured with dmarcReject', async () => {
    const { results } = await ask({ content: FROM_STRICT, reversePath: 'eve@strict.example' }, ZONE, { dmarcReject: true });
    expect(results.at(-1)).toMatchObject({
      kind: 'reject',
      code: 550,
      enhanced: '5.7.1',
      text: expect.stringContaining('strict.example'),
    });
  });
  test('two From fields are evidence', async () => {
    const { evidence } = await ask({ content: `From: a@sender.example\r\n${FROM_STRICT}` }, ZONE);
    expect(evidence.has('FROM_INVALID')).toBe(true);
  });
});

describe('forged Authentication-Results', () => {
  const forged = (value: string): Mail => ({ content: `Authentication-Results: ${value}\r\n${FROM_STRICT}` });
  test.each([
    [`${HOSTNAME}; spf=pass`],
    [`${HOSTNAME.toUpperCase()}; dkim=pass`],
    [`"${HOSTNAME}"; spf=pass`],
    [`(comment (nested)) ${HOSTNAME} 1; spf=pass`],
    [`\r\n\t${HOSTNAME}.;\r\n spf=pass`],
    [HOSTNAME],
  ])('%j is taken out', async (value) => {
    const { removed } = await ask(forged(value), ZONE);
    expect(removed).toEqual([value.replaceAll('\r\n', '').trim()]);
  });
  test.each([
    [`other.example; spf=pass smtp.mailfrom=${HOSTNAME}`],
    [`not${HOSTNAME}; spf=pass`],
    [`${HOSTNAME}.evil.example; spf=pass`],
    [''],
  ])('%j stays', async (value) => {
    const { removed } = await ask(forged(value), ZONE);
    expect(removed).toEqual([]);
  });
  test('from a user who logged in, and from a trusted client, too; nothing else is done there', async () => {
    const mail = forged(`${HOSTNAME}; spf=pass`);
    for (const trusted of [
      { ...mail, user: 'alice' },
      { ...mail, clientAddress: '127.0.0.1' },
      { ...mail, clientAddress: '::1' },
      { ...mail, clientAddress: '::ffff:127.0.0.2' },
    ]) {
      const { results, removed } = await ask(trusted, ZONE);
      expect(removed).toHaveLength(1);
      expect(results).toHaveLength(1);
    }
  });
  test('a hundred of them: all such headers go', async () => {
    const content = `Authentication-Results: ${HOSTNAME}; spf=pass\r\n`.repeat(100) + FROM_STRICT;
    expect((await ask({ content }, ZONE)).removed).toEqual([undefined]);
  });
});

describe('what senders write', () => {
  test('can neither end our header nor begin another result in it', async () => {
    const nasty = 'x"; dkim=pass header.d=bank.example\r\nX-Evil: 1\r\n\r\n(';
    const { results, header } = await ask(
      {
        content: `From: <"a\\"; dmarc=pass"@strict.example>\r\n\r\nx\r\n`,
        helo: nasty,
        reversePath: `"${nasty}"@strict.example`,
      },
      ZONE,
    );
    const value =
      results.flatMap((one) => (one.kind === 'edit' ? one.edits : [])).find((one) => one.edit === 'add-header')?.value ?? '';
    expect(value).not.toMatch(/\r\n(?![ \t]+[^\s])|[^\r]\n|\r[^\n]/);
    expect(resultOf(header.replaceAll(/\((?:[^()\\]|\\.)*\)|"(?:[^"\\]|\\.)*"/g, ''), 'dkim')).toBe('none');
  });
  test('more signatures than the limit are not verified, and the header says so', async () => {
    const one = (await signed(`${FROM_SENDER}\r\nx\r\n`)).split(FROM_SENDER)[0]!;
    const asked: string[] = [];
    const dns = zoneDns(ZONE);
    const counting = { ...dns, resolve: (name: string, type: string) => (asked.push(name), dns.resolve(name, type)) };
    const { header } = await ask({ content: `${one.repeat(30)}${FROM_SENDER}\r\nx\r\n` }, ZONE, {}, counting);
    expect(resultOf(header, 'dkim')).toBe('policy');
    expect(asked.filter((name) => name.includes('_domainkey'))).toEqual([]);
  });
  test('a header section larger than what is kept in memory is checked by SPF, in little time', async () => {
    const content = `${FROM_SENDER}${'X-Filler: more and more\r\n'.repeat(100_000)}\r\nx\r\n`;
    const start = performance.now();
    const { header } = await ask({ content, reversePath: 'a@sender.example', inFile: true }, ZONE);
    expect(performance.now() - start).toBeLessThan(500);
    expect([resultOf(header, 'spf'), resultOf(header, 'dkim')]).toEqual(['pass', 'policy']);
  });
  test('a header of nothing but names, colons, brackets or quotes takes no time to speak of', async () => {
    for (const piece of [
      'a:\r\n',
      ':',
      '(',
      '"',
      'From: (',
      'Authentication-Results: (',
      'DKIM-Signature: =;',
      'From: <@',
      'From: a@b,',
    ]) {
      const start = performance.now();
      await ask({ content: `${piece.repeat(60_000 / piece.length)}\r\n\r\nx` }, ZONE);
      expect(performance.now() - start, piece).toBeLessThan(1500);
    }
  });
});

describe('DNS that fails', () => {
  test('is a temperror in the header and no evidence against the sender', async () => {
    const zone = new Map([['sender.example TXT', 'ESERVFAIL' as const]]);
    const { header, evidence } = await ask({ content: `${FROM_SENDER}\r\nx\r\n`, reversePath: 'a@sender.example' }, zone);
    expect(resultOf(header, 'spf')).toBe('temperror');
    expect([...evidence.keys()]).toEqual([]);
  });
  test('a DMARC failure that DNS may be the cause of defers where p=reject is honoured, and says nothing elsewhere', async () => {
    const zone = new Map<string, readonly unknown[] | 'ESERVFAIL'>([
      ['strict.example TXT', 'ESERVFAIL'],
      ['_dmarc.strict.example TXT', [['v=DMARC1; p=reject']]],
    ]);
    const mail = { content: FROM_STRICT, reversePath: 'eve@strict.example' };
    expect((await ask(mail, zone, { dmarcReject: true })).results.at(-1)).toMatchObject({ kind: 'defer', code: 451 });
    expect([...(await ask(mail, zone)).evidence.keys()]).toEqual([]);
  });
  test('and DNS that never answers ends with the budget', async () => {
    const silent = { ...zoneDns(ZONE), resolve: () => new Promise<never>(() => undefined) };
    const { header } = await ask(
      { content: `${FROM_SENDER}\r\nx\r\n`, reversePath: 'a@sender.example' },
      ZONE,
      { dnsBudgetMs: 100 },
      silent,
    );
    expect(resultOf(header, 'spf')).toBe('temperror');
  });
});
