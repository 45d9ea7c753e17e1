/**
 * Plugins in the whole running server: one in a single file, and those that go wrong on a plugin thread in every way.
 * At each the session gets the declared answer within the deadline and 100 ms, and the others go on. Prints what was
 * measured. The pool alone, with more ways to go wrong, is in test/conformance.
 */
import { copyFileSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism, loadavg } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ServerLog } from '../lib/server-log.ts';
import { maildirOf, type Posthorn, startPosthorn, waitForMail } from '../lib/server.ts';
import { beginMessage, sendMessage, smtpSession } from '../lib/smtp-talk.ts';
import type { Talk } from '../lib/talk.ts';

const EVIL = fileURLToPath(new URL('../lib/plugins/evil.ts', import.meta.url));
const EXAMPLE = fileURLToPath(new URL('../../docs/examples/my-filter.ts', import.meta.url));
const INNOCENT = 'alice@example.test';
const DEADLINE_MS = 1500;
const GRACE_MS = 100;
/** Where other things run too, a timer's lateness says nothing of this server. */
const BUSY_GRACE_MS = 2000;

const figures: string[] = [];
afterAll(() => console.log(`plugins, deadline ${DEADLINE_MS} ms: ${figures.join('; ')}`));

/** Milliseconds until it resolves, held against the deadline. */
async function answeredInTime(name: string, answer: Promise<string>): Promise<string> {
  const askedAt = performance.now();
  const reply = await answer;
  const tookMs = performance.now() - askedAt;
  const isLate = tookMs >= DEADLINE_MS + GRACE_MS;
  const busy = loadavg()[0]! > availableParallelism() / 2;
  figures.push(`${name} ${tookMs.toFixed(0)} ms${isLate && busy ? ' (late, on a busy machine)' : ''}`);
  expect(tookMs).toBeLessThan(DEADLINE_MS + (busy ? BUSY_GRACE_MS : GRACE_MS));
  return reply;
}

/** Sessions that send mail, one message after the other, until they are told to end. */
async function startOthers(port: number, to: string, count: number) {
  const talks = await Promise.all(Array.from({ length: count }, () => smtpSession(port)));
  const replies: string[] = [];
  let slowestMs = 0;
  let going = true;
  const run = async (talk: Talk) => {
    do {
      const startedAt = performance.now();
      replies.push(await sendMessage(talk, to));
      slowestMs = Math.max(slowestMs, performance.now() - startedAt);
    } while (going);
    talk.leave();
  };
  const ended = Promise.all(talks.map(run));
  return {
    async end() {
      going = false;
      await ended;
      return { replies, slowestMs };
    },
  };
}

/** Holds each message that says so for ever. */
const STUCK = `import { definePlugin } from '@posthorn/sdk';
const told = (header: Uint8Array): boolean => Buffer.from(header).includes('Subject: stuck');
export default definePlugin({
  name: 'stuck', version: '1.0.0', run: 'compute', deadlineMs: ${DEADLINE_MS},
  hooks: {
    message({ bytes }) {
      while (told(bytes.header));
    },
  },
});`;

describe('plugins in one file each beside the configuration', () => {
  let server: Posthorn;
  beforeAll(async () => {
    server = await startPosthorn({
      users: { alice: 'secret', bob: 'secret' },
      config: { throughput: { processes: 1, sessionThreads: 1, pluginThreads: 2 } },
    });
    copyFileSync(EXAMPLE, join(server.folder, 'my-filter.ts'));
    writeFileSync(join(server.folder, 'stuck.ts'), STUCK);
    const config = JSON.parse(readFileSync(server.configFile, 'utf8')) as object;
    const plugins = ['./stuck.ts', { './my-filter.ts': { words: ['cheap'], weight: 6 } }];
    writeFileSync(server.configFile, JSON.stringify({ ...config, plugins }));
    expect(await server.command('reload', '--config', server.configFile)).toMatchObject({ code: 0 });
  });
  afterAll(async () => {
    await server.stop();
    server.remove();
  });

  test('are loaded without a build step, reject, and give evidence that the message then tells', async () => {
    const talk = await smtpSession(server.ports.smtp);
    expect(await beginMessage(talk, INNOCENT)).toMatch(/^354/);
    expect(await talk.say('Subject: from nobody\r\n\r\ntext\r\n.')).toBe('550 5.6.0 A message must have a From header');
    expect(await beginMessage(talk, INNOCENT)).toMatch(/^354/);
    expect(await talk.say('From: <a@b.test>\r\nSubject: Cheap today\r\n\r\ntext\r\n.')).toMatch(/^250/);
    expect(await waitForMail(server, 'alice', 1)).toBe(1);
    const folder = join(maildirOf(server, 'alice'), 'new');
    const message = readFileSync(join(folder, readdirSync(folder)[0]!), 'latin1');
    expect(message).toContain('\r\nX-Posthorn-Spam: 6 (tag)\r\n\tMY_WORDS=6 (subject has cheap);\r\n');
  });

  test('one that holds a message for ever defers it in time, and just those that were taken are delivered', async () => {
    const others = await startOthers(server.ports.smtp, 'bob@example.test', 2);
    const guilty = await smtpSession(server.ports.smtp);
    expect(await beginMessage(guilty, 'bob@example.test')).toMatch(/^354/);
    const message = `From: <a@b.test>\r\nSubject: stuck\r\n\r\n${'x'.repeat(60_000)}\r\n.`;
    const reply = await answeredInTime('message endless', guilty.say(message));
    expect(reply).toMatch(/^451 4\.3\.0/);
    const { replies } = await others.end();
    expect(replies.filter((one) => !one.startsWith('250'))).toEqual([]);
    expect(await sendMessage(guilty, 'bob@example.test')).toMatch(/^250/);
    const taken = replies.length + 1;
    expect(await waitForMail(server, 'bob', taken)).toBe(taken);
  });
});

const waysOf = {
  compute: ['endless', 'throws', 'fill-heap', 'fill-buffers', 'rejects-late', 'nonsense', 'exit'],
  // With other answers to a failure: the rest is the same as on a compute thread.
  wait: ['endless', 'throws', 'fill-heap', 'rejects-late'],
} as const;
const KILLS = /^(endless|fill|exit)/;

describe.each(['compute', 'wait'] as const)('on a %s thread', (isolation) => {
  const log = new ServerLog();
  const onFailure = isolation === 'compute' ? 'defer' : 'pass';
  let server: Posthorn;
  beforeAll(async () => {
    server = await startPosthorn({
      users: { alice: 'secret' },
      config: {
        domains: { 'example.test': { catchAll: 'alice' } },
        plugins: [{ [EVIL]: { isolation, deadlineMs: DEADLINE_MS, onFailure } }],
        // One thread for all sessions: the others sit beside the one whose plugin goes wrong.
        throughput: { processes: 1, sessionThreads: 1, pluginThreads: 2, deliveryConcurrency: 0 },
        log: { level: 'debug' },
      },
      onLog: log.read,
    });
  });
  afterAll(async () => {
    await server.stop();
    server.remove();
  });

  test.each(waysOf[isolation])(`%s: the declared answer (${onFailure}) in time, and nothing for the others`, async (way) => {
    const before = { died: log.all('plugin-thread.died').length, failed: log.all('hook.failed').length };
    const others = await startOthers(server.ports.smtp, INNOCENT, 4);
    const guilty = await smtpSession(server.ports.smtp);
    await guilty.say('MAIL FROM:<sender@elsewhere.test>');
    const reply = await answeredInTime(`${isolation} ${way}`, guilty.say(`RCPT TO:<${way}@example.test>`));
    expect(reply).toMatch(onFailure === 'defer' ? /^451 4\.3\.0/ : /^250 2\.1\.5/);
    const { replies, slowestMs } = await others.end();
    figures.push(`slowest of ${replies.length} others ${slowestMs.toFixed(0)} ms`);
    expect(replies.filter((one) => !one.startsWith('250'))).toEqual([]);
    // The session itself goes on, too.
    expect(await guilty.say('RSET')).toMatch(/^250/);
    expect(await sendMessage(guilty, INNOCENT)).toMatch(/^250/);
    guilty.leave();

    expect(log.all('hook.failed').slice(before.failed)).toEqual([expect.objectContaining({ plugin: 'evil', stage: 'rcpt' })]);
    // Two threads serve again before the next one comes: an answer has to be found within its short deadline.
    const died = before.died + (KILLS.test(way) ? 1 : 0);
    const threads = () => ({ died: log.all('plugin-thread.died').length, ready: log.all('plugin-thread.ready').length });
    await expect.poll(threads, { timeout: 10_000 }).toEqual({ died, ready: died + 2 });
  });

  test('nothing but plugin threads was ended', () => {
    expect([...log.all('session-thread-died'), ...log.all('server-process-died'), ...log.all('smtp.failed')]).toEqual([]);
  });
});
