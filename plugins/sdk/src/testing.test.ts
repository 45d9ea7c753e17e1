import { existsSync } from 'node:fs';
import { expect, test } from 'vitest';
import { definePlugin, z } from './index.ts';
import { asLargeMessage, startPlugin, testClock, testDns, testMessage } from './testing.ts';

const counter = definePlugin({
  name: 'counter',
  version: '1.0.0',
  options: z.strictObject({ word: z.string().min(1), limit: z.int().default(2) }),
  open: ({ dataDirectory, log }) => {
    log.info('opened', { dataDirectory });
    return { folder: dataDirectory };
  },
  hooks: {
    async message({ bytes, session }, { options, dns, clock }) {
      let text = '';
      for await (const chunk of bytes.chunks()) text += Buffer.from(chunk).toString('latin1');
      const count = text.split(options.word).length - 1;
      const names = await dns.ptr(session.clientAddress);
      if (count < options.limit) return undefined;
      return { kind: 'reject', text: `${count} times ${options.word} from ${names[0]} at ${clock.now()}` };
    },
  },
});
const settings = { options: { word: 'spam' }, names: { '192.0.2.1 PTR': ['client.example.net'] }, nowMs: 5 };

test('a hook runs on a recorded message, with the names and the time it is given', async () => {
  const plugin = await startPlugin(counter, settings);
  expect(await plugin.run('message', testMessage('Subject: spam\n\nspam\n'))).toEqual([
    { kind: 'reject', text: '2 times spam from client.example.net at 5' },
  ]);
  expect(await plugin.run('message', testMessage('Subject: ham\n\nspam\n'))).toEqual([]);
  const folder = String(plugin.lines[0]!.fields['dataDirectory']);
  expect(existsSync(folder)).toBe(true);
  await plugin.close();
  expect(existsSync(folder)).toBe(false);
});

test('a large message comes in pieces of a buffer that is used again', async () => {
  const plugin = await startPlugin(counter, settings);
  const small = testMessage(`Subject: x\n\n${'spam '.repeat(300)}`);
  const large = asLargeMessage(small, 64 + 1);
  expect(large.bytes.whole).toBeUndefined();
  expect(Buffer.from(large.bytes.header).toString()).toBe('Subject: x\r\n\r\n');
  expect(await plugin.run('message', large)).toEqual(await plugin.run('message', small));
  await plugin.close();
});

test('line ends become CRLF and other bytes stay as they are', () => {
  const bytes = Buffer.from([0x41, 0x0a, 0xe9, 0x0d, 0x0a, 0xff]);
  expect([...testMessage(bytes).bytes.whole!]).toEqual([0x41, 0x0d, 0x0a, 0xe9, 0x0d, 0x0a, 0xff]);
});

const failing: [string, () => unknown, string][] = [
  [
    'throws',
    () => {
      throw new Error('oh');
    },
    'threw: Error: oh',
  ],
  ['answers nonsense', () => ({ kind: 'explode' }), 'nonsense: unknown kind "explode"'],
];
test.each(failing)('a plugin that %s fails its test', async (_, hook, problem) => {
  const bad = definePlugin({ name: 'bad', version: '1', hooks: { message: hook as () => undefined } });
  const plugin = await startPlugin(bad);
  await expect(plugin.run('message', testMessage('x'))).rejects.toThrow(problem);
  await expect(plugin.run('rcpt', {} as never)).rejects.toThrow('no hook for rcpt');
  await plugin.close();
});

test('a plugin that writes to the message fails its test', async () => {
  const vandal = definePlugin({
    name: 'vandal',
    version: '1',
    hooks: { message: ({ bytes }) => void bytes.whole!.fill(0x20, 5, 6) },
  });
  const plugin = await startPlugin(vandal);
  await expect(plugin.run('message', testMessage('Subject: x\n\n'))).rejects.toThrow('wrote to the message');
  await plugin.close();
});

test('bad options fail at once', async () => {
  await expect(startPlugin(counter, { options: { wurd: 'x' } })).rejects.toThrow('options');
});

test('names resolve to what the test says, whatever their case, and to nothing or an error otherwise', async () => {
  const dns = testDns({
    'Example.org TXT': [['v=spf1 -all']],
    'mail.example.net A': ['192.0.2.1'],
    'broken.example MX': 'ESERVFAIL',
    '2001:DB8::1 PTR': ['host.example'],
  });
  expect(await dns.txt('EXAMPLE.org.')).toEqual([['v=spf1 -all']]);
  expect(await dns.ptr('2001:db8::1')).toEqual(['host.example']);
  await expect(dns.mx('broken.example')).rejects.toMatchObject({ kind: 'temporary', code: 'ESERVFAIL' });
  await expect(dns.a('example.org')).rejects.toMatchObject({ kind: 'notfound', code: 'ENODATA' });
  await expect(dns.a('example.net')).rejects.toMatchObject({ kind: 'notfound', code: 'ENODATA' });
  await expect(dns.a('example.com')).rejects.toMatchObject({ kind: 'notfound', code: 'ENOTFOUND' });
  await expect(dns.a(`${'x'.repeat(64)}.example.org`)).rejects.toMatchObject({ kind: 'notfound', code: 'EBADNAME' });
  await expect(dns.ptr('192.0.2.9')).rejects.toMatchObject({ kind: 'notfound' });
});

test('a clock stands still where it is put, until it is put forward', () => {
  const clock = testClock(5);
  const before = clock.monotonic();
  clock.advance(1000);
  expect(clock.now()).toBe(1005);
  expect(clock.monotonic() - before).toBeGreaterThanOrEqual(1000);
});

test('of a header that is too long for memory a large message has the beginning', () => {
  const large = asLargeMessage(testMessage(`X: ${'y'.repeat(300_000)}\n\nbody`));
  expect(large.bytes.header.length).toBe(256 * 1024);
});
