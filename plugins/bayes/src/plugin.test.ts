import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { asLargeMessage, startPlugin, testMessage } from '@posthorn/sdk/testing';
import { plugin } from './plugin.ts';
import { MODEL_FILE, train } from './train.ts';

const SPAM = Buffer.from('Subject: offer\r\n\r\ncheap pills online now 100% <script>"\r\n');
const HAM = Buffer.from('Subject: minutes\r\n\r\nagenda of our meeting\r\n');

let directory: string;
beforeEach(async () => void (directory = await mkdtemp(join(tmpdir(), 'bayes-'))));
afterEach(() => rm(directory, { recursive: true }));

async function teach(count: number): Promise<void> {
  for (const [label, content] of [
    ['spam', SPAM],
    ['ham', HAM],
  ] as const) {
    const folder = join(directory, 'mail', label);
    await mkdir(folder, { recursive: true });
    for (let i = 0; i < count; i++)
      await writeFile(join(folder, `${i}`), `Message-ID: <number${i}@example>\r\n${content.toString()}`);
    await train({ directory, label, paths: [folder] });
  }
}

/** The plugin opened on one thread, and what it says of a message: its evidence. */
async function openPlugin(options: Readonly<Record<string, number>> = {}) {
  const { run, clock, lines } = await startPlugin(plugin, { options, dataDirectory: directory });
  const ask = async (request: ReturnType<typeof testMessage>) =>
    (await run('message', request)).flatMap((one) => (one.kind === 'evidence' ? one.evidence : []));
  return { ask, clock, lines };
}

describe('bayes', () => {
  test('says nothing without a model', async () => {
    const { ask } = await openPlugin();
    expect(await ask(testMessage(SPAM))).toEqual([]);
  });
  test('says nothing before enough was learned', async () => {
    await teach(3);
    const { ask } = await openPlugin();
    expect(await ask(testMessage(SPAM))).toEqual([]);
  });
  test.each([
    ['memory', testMessage],
    ['file', (mail: Uint8Array) => asLargeMessage(testMessage(mail), 30)],
  ] as const)('scores spam up and ham down (message in %s)', async (_, message) => {
    await teach(3);
    const { ask } = await openPlugin({ minSpam: 3, minHam: 3 });
    const [spam] = await ask(message(SPAM));
    expect(spam).toMatchObject({ name: 'BAYES_99', weight: 5 });
    const [ham] = await ask(message(HAM));
    expect(ham).toMatchObject({ name: 'BAYES_00', weight: -2 });
  });
  test('the reason names telling words and holds nothing but plain ASCII', async () => {
    await teach(3);
    const { ask } = await openPlugin({ minSpam: 3, minHam: 3 });
    const [spam] = await ask(testMessage(SPAM));
    expect(spam?.reason).toMatch(/^[01]\.\d{3}: [\w:.$/@ -]+$/);
    expect(spam?.reason).toContain('pills');
  });
  test('mail of users who logged in is not scored', async () => {
    await teach(3);
    const { ask } = await openPlugin({ minSpam: 3, minHam: 3 });
    expect(await ask(testMessage(SPAM, { session: { user: 'alice' } }))).toEqual([]);
  });
  test('a training is taken up within a second, without a restart', async () => {
    const { ask, clock } = await openPlugin({ minSpam: 3, minHam: 3 });
    expect(await ask(testMessage(SPAM))).toEqual([]);
    await teach(3);
    clock.advance(1000);
    expect(await ask(testMessage(SPAM))).toHaveLength(1);
  });
  test('a damaged model leaves the one before in force and is logged', async () => {
    await teach(3);
    const { ask, clock, lines } = await openPlugin({ minSpam: 3, minHam: 3 });
    await ask(testMessage(SPAM));
    await writeFile(join(directory, MODEL_FILE), 'no model');
    clock.advance(1000);
    expect(await ask(testMessage(SPAM))).toHaveLength(1);
    clock.advance(1000);
    await ask(testMessage(SPAM));
    expect(lines.filter(({ event }) => event === 'bayes.model.unusable')).toHaveLength(1);
  });
});
