/** Messages made fit for hops that take less: whole and in small chunks, by hand and by property. */
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { convert, headersAreAscii, survey, type Target } from './convert.ts';
import { Walker } from './walker.ts';

async function* inChunks(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  // Each chunk is only lent: the next one overwrites it.
  const lent = new Uint8Array(size);
  for (let at = 0; at < bytes.length; at += size) {
    const chunk = lent.subarray(0, Math.min(size, bytes.length - at));
    chunk.set(bytes.subarray(at, at + chunk.length));
    yield chunk;
  }
}

interface Options {
  readonly target?: Target;
  readonly opensSealed?: boolean;
  readonly chunk?: number;
}

async function convertBytes(
  bytes: Buffer,
  { target = '7bit', opensSealed = false, chunk = 65_536 }: Options = {},
): Promise<Buffer | string> {
  const plan = await survey(inChunks(bytes, chunk), target, opensSealed);
  if (typeof plan === 'string') return plan;
  const chunks: Buffer[] = [];
  for await (const piece of convert(inChunks(bytes, chunk), plan)) chunks.push(Buffer.from(piece));
  return Buffer.concat(chunks);
}

/** Lines to bytes, `\xff` as one octet; the result as lines again. The same whatever the chunks are. */
async function converted(lines: readonly string[], options: Options = {}): Promise<string[] | string> {
  const bytes = Buffer.from(lines.join('\r\n'), 'latin1');
  const results = await Promise.all([1, 2, 3, 7, 64].map((chunk) => convertBytes(bytes, { ...options, chunk })));
  const whole = await convertBytes(bytes, options);
  for (const one of results) expect(one).toEqual(whole);
  return typeof whole === 'string' ? whole : whole.toString('latin1').split('\r\n');
}

const PLAIN = ['MIME-Version: 1.0', 'Content-Type: text/plain; charset=iso-8859-1'];

describe('a message for a hop that takes 7-bit mail only', () => {
  it('of text becomes quoted-printable, the label in its place', async () => {
    const text = [...PLAIN, 'Content-Transfer-Encoding: 8bit', 'Subject: x', '', 'caf\xe9 = \t', '.', '-- ', 'end', ''];
    expect(await converted(text)).toEqual([
      ...PLAIN,
      'Content-Transfer-Encoding: quoted-printable',
      'Subject: x',
      '',
      'caf=E9 =3D =09',
      '.',
      '=2D-=20',
      'end',
      '',
    ]);
  });

  it('of text that is mostly 8-bit becomes base64, as what is no text does', async () => {
    const greek = '\xe1\xe2\xe3\xe4'.repeat(20);
    expect(await converted([...PLAIN, '', greek, ''])).toEqual([
      ...PLAIN,
      'Content-Transfer-Encoding: base64',
      '',
      '4eLj5OHi4+Th4uPk4eLj5OHi4+Th4uPk4eLj5OHi4+Th4uPk4eLj5OHi4+Th4uPk4eLj5OHi4+Th',
      '4uPk4eLj5OHi4+Th4uPk4eLj5OHi4+QNCg==',
      '',
    ]);
    const data = ['MIME-Version: 1.0', 'Content-Type: application/x', '', 'caf\xe9', ''];
    expect(await converted(data)).toEqual([...data.slice(0, 2), 'Content-Transfer-Encoding: base64', '', 'Y2Fm6Q0K', '']);
  });

  it('without MIME is named text in an unknown charset, which is not guessed', async () => {
    expect(await converted(['Subject: x', '', 'caf\xc3\xa9 0123456789', ''])).toEqual([
      'Subject: x',
      'MIME-Version: 1.0',
      'Content-Type: text/plain; charset=unknown-8bit',
      'Content-Transfer-Encoding: quoted-printable',
      '',
      'caf=C3=A9 0123456789',
      '',
    ]);
  });

  it('is changed part by part; what holds parts gets a label that is true', async () => {
    const outer = [
      'MIME-Version: 1.0',
      'Content-Transfer-Encoding: 8BIT (really)',
      'Content-Type: multipart/mixed; boundary="b b"',
      '',
    ];
    const inner = ['Content-Type: message/rfc822', 'Content-Transfer-Encoding: 8bit', ''];
    expect(
      await converted([
        ...outer,
        'pre\xe9amble',
        '--b b',
        '',
        'plain',
        '--b b',
        ...inner,
        'Subject: y',
        '',
        '\xe9',
        '--b b--',
        'epi\xe9logue',
        '',
      ]),
    ).toEqual([
      'MIME-Version: 1.0',
      'Content-Transfer-Encoding: 7bit',
      ...outer.slice(2),
      'pre?amble',
      '--b b',
      '',
      'plain',
      '--b b',
      'Content-Type: message/rfc822',
      'Content-Transfer-Encoding: 7bit',
      '',
      'Subject: y',
      'MIME-Version: 1.0',
      'Content-Type: text/plain; charset=unknown-8bit',
      'Content-Transfer-Encoding: base64',
      '',
      '6Q==',
      '--b b--',
      'epi?logue',
      '',
    ]);
  });

  it('tells boundaries apart of which one begins with the other, and heeds outer ones where inner ends are missing', async () => {
    const mixed = (boundary: string): string => `Content-Type: multipart/mixed; boundary=${boundary}`;
    const part = ['Content-Type: text/plain', 'Content-Transfer-Encoding: 8bit', ''];
    const coded = ['Content-Type: text/plain', 'Content-Transfer-Encoding: quoted-printable', ''];
    const frame = ['MIME-Version: 1.0', mixed('a'), '', '--a', mixed('ab'), '', '--ab'];
    expect(
      await converted([
        ...frame,
        ...part,
        '0123 4567 \xe9',
        '--abc',
        '--ab \t',
        ...part,
        'no end 012345 \xe8',
        '--a',
        ...part,
        'after 0123456 \xe7',
        '--a--',
        '',
      ]),
    ).toEqual([
      ...frame,
      ...coded,
      '0123 4567 =E9',
      '=2D-abc',
      '--ab \t',
      ...coded,
      'no end 012345 =E8',
      '--a',
      ...coded,
      'after 0123456 =E7',
      '--a--',
      '',
    ]);
  });

  it('hides no delimiter in a line that it breaks', async () => {
    const line = `${'x'.repeat(74)}--b`;
    const text = ['MIME-Version: 1.0', 'Content-Type: multipart/mixed; boundary=b', '', '--b', '', line, '\xe9', '--b--', ''];
    const lines = await converted(text);
    expect(Array.isArray(lines) && lines.filter((one) => one.startsWith('--b'))).toEqual(['--b', '--b--']);
  });

  it.each([
    ['multipart/signed; protocol="x"; micalg=y; boundary=s', /^554 5\.6\.2 signed or encrypted/],
    ['multipart/encrypted; protocol="x"; boundary=s', /^554 5\.6\.2 signed or encrypted/],
    ['message/partial; id=a; number=1', /^554 5\.6\.2 message\/partial/],
    ['message/external-body; access-type=url', /^554 5\.6\.2 message\/partial/],
    ['multipart/mixed', /^554 5\.6\.3 multipart without a boundary/],
  ])('of %s is refused where it must not be altered, and kept where it need not be', async (type, refusal) => {
    const around = [
      'MIME-Version: 1.0',
      'Content-Type: multipart/mixed; boundary=b',
      '',
      '--b',
      `Content-Type: ${type}`,
      '',
      '--s',
      '',
    ];
    const rest = ['--s--', '--b', '', 'caf\xe9 0123456789', '--b--', ''];
    expect(await converted([...around, '\xe9', ...rest])).toMatch(refusal);
    const kept = await converted([...around, 'e', ...rest]);
    expect(kept).toContain('caf=E9 0123456789');
    expect(kept).toEqual(expect.arrayContaining([...around, 'e', '--s--']));
  });

  it('that is signed is converted where the operator wants that', async () => {
    const signed = [
      'MIME-Version: 1.0',
      'Content-Type: multipart/signed; boundary=s',
      '',
      '--s',
      '',
      'caf\xe9 01234567',
      '--s--',
      '',
    ];
    expect(await converted(signed, { opensSealed: true })).toContain('caf=E9 01234567');
  });

  it('with a header in UTF-8 has it in encoded words; in another charset it is refused', async () => {
    expect(await converted(['Subject: caf\xc3\xa9', '', 'x', ''])).toEqual(['Subject: =?UTF-8?B?Y2Fmw6k=?=', '', 'x', '']);
    expect(await converted(['Subject: caf\xe9', '', 'x', ''])).toMatch(/^554 5\.6\.3 header has 8-bit text/);
  });

  it('with a delivery status has it in ASCII as fields: in base64 no program would find it (RFC 3464 §2.1)', async () => {
    const type = 'Content-Type: multipart/report; report-type=delivery-status; boundary=b';
    const head = ['MIME-Version: 1.0', type, '', '--b', 'Content-Type: message/delivery-status'];
    const fields = ['Reporting-MTA: dns; x.test', '', 'Final-Recipient: rfc822; \xc3\xa9+a@x.test', 'Action: failed'];
    const code = ['Diagnostic-Code: smtp; 550 \xc3\xa9', '\tund \xc3\xa9', 'X-Text: \xe9!', '--b--', ''];
    expect(await converted([...head, '', ...fields, ...code])).toEqual([
      ...head,
      'Content-Transfer-Encoding: 7bit',
      '',
      'Reporting-MTA: dns; x.test',
      '',
      String.raw`Final-Recipient: utf-8; \x{E9}\x{2B}a@x.test`,
      'Action: failed',
      `Diagnostic-Code: smtp; =?UTF-8?B?${Buffer.from('550 é').toString('base64')}?=`,
      ` =?UTF-8?B?${Buffer.from('und é').toString('base64')}?=`,
      'X-Text: ?!',
      '--b--',
      '',
    ]);
    const long = `Diagnostic-Code: smtp; ${'x'.repeat(1000)}`;
    expect(await converted([...head, '', ...fields, long, '--b--', ''])).toMatch(/^554 5\.6\.3 delivery status/);
  });

  it('with a boundary beyond ASCII is refused: without it in the header the parts would be none', async () => {
    const type = 'Content-Type: multipart/mixed; boundary="\xc3\xbc"';
    expect(await converted(['MIME-Version: 1.0', type, '', '--\xc3\xbc', '', 'text', '--\xc3\xbc--', ''])).toMatch(
      /^554 5\.6\.3 multipart without a boundary/,
    );
  });

  it('with a damaged header of a part is refused where that part would have to change', async () => {
    const damaged = ['MIME-Version: 1.0', 'Content-Type: multipart/mixed; boundary=b', '', '--b', 'no field', 'X: y', ''];
    expect(await converted([...damaged, '\xe9', '--b--', ''])).toMatch(/^554 5\.6\.3 header of a part is malformed/);
    expect(await converted([...damaged, 'e', '--b', '', 'caf\xe9 01234567', '--b--', ''])).toContain('caf=E9 01234567');
  });

  it.each([
    [['Content-Type: multipart/mixed; boundary=b', 'Content-Type: text/plain']],
    [['Content-Type: text/plain', 'Content-Type: multipart/mixed; boundary=b']],
    [['Content-Type: multipart/mixed; boundary=b', 'Content-Transfer-Encoding: 8bit', 'Content-Transfer-Encoding: 7bit']],
    [['Content-Type: multipart/mixed (; boundary=x); boundary=b']],
    [['Content-Type: multipart/mixed; (boundary=x) boundary=b']],
    [['Content-Type: (text) multipart/mixed; boundary=b']],
    [['Content-Type: multipart (x) /mixed; boundary=b']],
    [['Content-Type: multipart/mixed; boundary=b; boundary=x']],
    [['Content-Type: multipart/mixed; boundary=b; boundary*0=x']],
  ])('whose type is said in two ways is not converted by a guess: %j', async (fields) => {
    const lines = (text: string): string[] => ['MIME-Version: 1.0', ...fields, '', '--b', '', text, '--b--', ''];
    expect(await converted(lines('caf\xe9'))).toMatch(/^554 5\.6\.3 /);
  });

  it('is changed up to where readers begin to disagree, in whatever chunks it comes', async () => {
    const type = 'Content-Type: multipart/mixed; boundary=b';
    const lines = ['MIME-Version: 1.0', type, '', '--b', '', 'x', '--b--', 'caf\xe9', '--b', 'plain', ''];
    expect(await converted(lines)).toEqual(lines.map((line) => line.replace('\xe9', '?')));
    expect(await converted([...lines, 'caf\xe9', ''])).toMatch(/^554 5\.6\.3 /);
  });

  it('with a comment that says nothing of parts is converted', async () => {
    const fields = ['MIME-Version: 1.0', 'Content-Type: text/plain; charset=iso-8859-1 (Latin; boundary=b)'];
    expect(await converted([...fields, '', 'caf\xe9 01234567', ''])).toContain('caf=E9 01234567');
    const quoted = ['MIME-Version: 1.0', 'Content-Type: multipart/mixed; boundary="b(1)"'];
    expect(await converted([...quoted, '', '--b(1)', '', 'caf\xe9 01234567', '--b(1)--', ''])).toContain('caf=E9 01234567');
  });

  it('mends what has an encoding already, and could have been read before', async () => {
    const coded = (encoding: string, body: string): string[] => [
      ...PLAIN,
      `Content-Transfer-Encoding: ${encoding}`,
      '',
      body,
      '',
    ];
    expect(await converted(coded('quoted-printable', 'caf\xe9=E9='))).toEqual(coded('quoted-printable', 'caf=E9=E9='));
    expect(await converted(coded('base64', 'Y2\xe9Fm6Q=='))).toMatch(/^554 5\.6\.3 content is no base64/);
    const long = await converted(coded('base64', 'Y2Fm'.repeat(300)), { target: '8bit' });
    expect(long.at(-3)).toBe('Y2Fm'.repeat(225));
    expect(long.at(-2)).toBe(` ${'Y2Fm'.repeat(75)}`);
    for (const own of ['x-uuencode', 'uuencode', 'x-yenc', 'X-Gzip64'])
      expect(await converted(coded(own, '\xe9'))).toMatch(/^554 5\.6\.3 content with an encoding of its own/);
  });

  it('with more parts than anybody would make is refused, and costs no memory', async () => {
    const head = ['MIME-Version: 1.0', 'Content-Type: multipart/mixed; boundary=b', ''];
    const many = Buffer.from([...head, ...Array.from({ length: 10_001 }, () => '--b\r\n'), '\xe9'].join('\r\n'), 'latin1');
    expect(await convertBytes(many)).toMatch(/^554 5\.6\.3 message has too many parts/);
    const deep = Array.from({ length: 102 }, (_, level) => [
      `Content-Type: multipart/mixed; boundary=b${level}`,
      '',
      `--b${level}`,
    ]);
    expect(await convertBytes(Buffer.from([...deep.flat(), '', '\xe9'].join('\r\n'), 'latin1'))).toMatch(
      /^554 5\.6\.3 message has too many/,
    );
    const wide = Buffer.from([...head, '--b', `X: ${'y'.repeat(300_000)}`, '', '\xe9'].join('\r\n'), 'latin1');
    expect(await convertBytes(wide)).toMatch(/^554 5\.6\.3 message has too many/);
  });
});

it('lines that begin like delimiters cost no step each: a message of nothing else took seconds', () => {
  const nested = Array.from(
    { length: 90 },
    (_, level) => `Content-Type: multipart/mixed; boundary=b${level}\r\n\r\n--b${level}\r\n`,
  );
  for (const head of ['', nested.join('')]) {
    let pieces = 0;
    const count = (): void => void pieces++;
    const ignore = (): void => undefined;
    const visitor = { enter: ignore, blank: ignore, leave: ignore, doubtful: ignore, partless: ignore, delimiter: ignore };
    const walker = new Walker({ ...visitor, content: count, filler: count }, false);
    walker.push(Buffer.from(`${head}\r\n${'\r\n--\r\n--b1x'.repeat(20_000)}\r\n--b0--${'\r\n--b1'.repeat(20_000)}`));
    walker.end();
    expect(pieces).toBeLessThan(5);
  }
});

it.each([
  ['binary, without a line end', 'application/x', '\xff\0'],
  ['text', 'text/plain', 'Die K\xf6che kochen.\r\n'],
])('a large message goes through piece by piece: %s', async (_what, type, content) => {
  const chunk = Buffer.alloc(65_536, content, 'latin1');
  async function* body(): AsyncGenerator<Uint8Array> {
    yield Buffer.from(`MIME-Version: 1.0\r\nContent-Type: ${type}\r\n\r\n`);
    for (let at = 0; at < 100; at++) yield chunk;
  }
  const plan = await survey(body(), '7bit', false);
  if (typeof plan === 'string') throw new Error(plan);
  let bytes = 0;
  for await (const piece of convert(body(), plan)) {
    expect(piece.length).toBeLessThan(2 * chunk.length);
    bytes += piece.length;
  }
  expect(bytes).toBeGreaterThan(100 * chunk.length);
});

describe('a binary message for a hop that takes lines only', () => {
  it('keeps its text, 8-bit as it is where the hop takes that, and its octets in base64', async () => {
    const head = ['MIME-Version: 1.0', 'Content-Transfer-Encoding: binary', 'Content-Type: multipart/mixed; boundary=b', ''];
    const parts = [
      '--b',
      'Content-Type: text/plain',
      'Content-Transfer-Encoding: binary',
      '',
      'caf\xe9',
      '--b',
      'Content-Type: application/x',
    ];
    expect(await converted([...head, ...parts, '', 'a\n--b\n\0\r', '--b--', ''], { target: '8bit' })).toEqual([
      head[0],
      'Content-Transfer-Encoding: 8bit',
      ...head.slice(2),
      ...parts.slice(0, 2),
      'Content-Transfer-Encoding: 8bit',
      '',
      'caf\xe9',
      ...parts.slice(5),
      'Content-Transfer-Encoding: base64',
      '',
      Buffer.from('a\n--b\n\0\r').toString('base64'),
      '--b--',
      '',
    ]);
  });

  it('is encoded for a line that is too long, or a message that does not end with one', async () => {
    const long = [...PLAIN, '', 'x'.repeat(999), ''];
    const lines = await converted(long, { target: '8bit' });
    expect(lines[3]).toBe('');
    expect(lines).toContain('Content-Transfer-Encoding: quoted-printable');
    expect(await converted([...PLAIN, '', 'x y z 012345678'], { target: '8bit' })).toEqual([
      ...PLAIN,
      'Content-Transfer-Encoding: quoted-printable',
      '',
      'x y z 012345678=',
      '',
    ]);
  });
});

it('knows whether headers are ASCII, those of parts too', async () => {
  const part = (header: string): Buffer =>
    Buffer.from(
      ['Content-Type: multipart/mixed; boundary=b', '', '\xe9', '--b', header, '', '\xe9', '--b--', ''].join('\r\n'),
      'latin1',
    );
  expect(await headersAreAscii(inChunks(part('X: y'), 5))).toBe(true);
  expect(await headersAreAscii(inChunks(part('X: \xc3\xa9'), 5))).toBe(false);
});

/** A tree of parts whose contents are known, and its bytes. */
interface Tree {
  readonly type: string;
  readonly parts?: readonly Tree[];
  readonly content?: Buffer;
}

const octets = (max: number): fc.Arbitrary<Buffer> => fc.uint8Array({ maxLength: max }).map((bytes) => Buffer.from(bytes));
/** What trips encoders: line ends in all forms, blanks and dashes, long lines. */
const nasty = fc
  .array(
    fc.constantFrom(
      '\r\n',
      '\r',
      '\n',
      ' ',
      '\t',
      '=',
      '--',
      '--b0',
      '.',
      '\xe9',
      '\0',
      'From ',
      'x'.repeat(75),
      'y'.repeat(1000),
      'a',
    ),
    {
      maxLength: 40,
    },
  )
  .map((pieces) => Buffer.from(pieces.join(''), 'latin1'));
const leaf = fc.record({
  type: fc.constantFrom('text/plain', 'text/html', 'application/octet-stream'),
  content: fc.oneof(octets(400), nasty),
});
const tree = fc.letrec<{ tree: Tree; many: Tree }>((tie) => ({
  tree: fc.oneof({ maxDepth: 4, withCrossShrink: true }, leaf, tie('many')),
  many: fc.record({
    type: fc.constantFrom('multipart/mixed', 'multipart/alternative', 'message/rfc822'),
    parts: fc.array(tie('tree'), { minLength: 1, maxLength: 4 }),
  }),
})).tree;

/** Each multipart has a boundary that its parts' contents do not have: `b`, its depth, and a number. */
function write(node: Tree, depth = 0): Buffer {
  const head = (text: string): Buffer => Buffer.from(text, 'latin1');
  if (node.parts === undefined) {
    return Buffer.concat([head(`Content-Type: ${node.type}\r\nContent-Transfer-Encoding: binary\r\n\r\n`), node.content!]);
  }
  if (node.type === 'message/rfc822')
    return Buffer.concat([head('Content-Type: message/rfc822\r\n\r\n'), write(node.parts[0]!, depth)]);
  const boundary = `=_${'b'.repeat(depth + 1)}`;
  const parts = node.parts.map((part) => Buffer.concat([head(`--${boundary}\r\n`), write(part, depth + 1), head('\r\n')]));
  return Buffer.concat([
    head(`Content-Type: ${node.type}; boundary="${boundary}"\r\n\r\n`),
    ...parts,
    head(`--${boundary}--\r\n`),
  ]);
}

/** What a reader finds: read by the structure that is known, independent of the walker. */
function read(node: Tree, bytes: Buffer, depth = 0): unknown {
  const at = bytes.indexOf('\r\n\r\n');
  const header = bytes.toString('latin1', 0, at);
  const body = bytes.subarray(at + 4);
  const encoding = /^content-transfer-encoding: (\S+)/im.exec(header)?.[1]?.toLowerCase() ?? '7bit';
  if (node.parts === undefined) {
    if (encoding === 'base64') return [node.type, Buffer.from(body.toString('latin1'), 'base64').toString('latin1')];
    if (encoding !== 'quoted-printable') return [node.type, body.toString('latin1')];
    const text = body.toString('latin1').replace(/=\r\n/g, '');
    return [node.type, text.replace(/=([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(parseInt(hex, 16)))];
  }
  expect(encoding).toMatch(/^(7bit|8bit)$/);
  if (node.type === 'message/rfc822') return [node.type, read(node.parts[0]!, body, depth)];
  const boundary = `--=_${'b'.repeat(depth + 1)}`;
  const parts = `\r\n${body.toString('latin1')}`.split(new RegExp(`\r\n${boundary}(?:--)?\r\n`)).slice(1, -1);
  return [node.type, parts.map((part, index) => read(node.parts![index]!, Buffer.from(part, 'latin1'), depth + 1))];
}

describe('whatever the octets', () => {
  it.each(['7bit', '8bit'] as const)('each part decodes to what it was, for a hop that takes %s', async (target) => {
    await fc.assert(
      fc.asyncProperty(tree, fc.integer({ min: 1, max: 200 }), async (node, chunk) => {
        const message = Buffer.concat([Buffer.from('MIME-Version: 1.0\r\n'), write(node)]);
        const result = await convertBytes(message, { target, chunk });
        if (typeof result === 'string') throw new Error(result);
        const text = result.toString('latin1');
        if (target === '7bit') expect(text).not.toMatch(/[^\x01-\x7f]/);
        expect(text).not.toMatch(/\0|\r(?!\n)|(?<!\r)\n/);
        expect(Math.max(...text.split('\r\n').map((line) => line.length))).toBeLessThanOrEqual(998);
        expect(read(node, result)).toEqual(read(node, message));
      }),
      { numRuns: 400 },
    );
  });

  it('no bytes make it throw, or make more than four times as much of them, or anything but lines of ASCII', async () => {
    const soup = fc
      .array(
        fc.constantFrom(
          '\r\n',
          '\r\n\r\n',
          '--b',
          '--b--',
          '--bb',
          'Content-Type: multipart/mixed; boundary=b\r\n',
          'x',
          '\xe9',
          '\r',
          '\n',
          '\0',
          ':',
          ' ',
          'Content-Type: multipart/digest; boundary=bb\r\n',
          'Content-Type: message/rfc822\r\n',
          'Content-Transfer-Encoding: base64\r\n',
          'Content-Transfer-Encoding: quoted-printable\r\n',
          'Content-Transfer-Encoding: 8bit\r\n',
          'A: b\r\n',
        ),
        { maxLength: 60 },
      )
      .map((pieces) => Buffer.from(pieces.join(''), 'latin1'));
    await fc.assert(
      fc.asyncProperty(soup, fc.integer({ min: 1, max: 40 }), async (bytes, chunk) => {
        const whole = await convertBytes(bytes);
        expect(await convertBytes(bytes, { chunk })).toEqual(whole);
        if (typeof whole === 'string') return;
        expect(whole.toString('latin1')).not.toMatch(/[^\x01-\x7f]|\r(?!\n)|(?<!\r)\n/);
        expect(whole.length).toBeLessThanOrEqual(bytes.length * 4 + 200);
      }),
      { numRuns: 2000 },
    );
  });
});
