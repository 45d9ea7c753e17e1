/** Every code block of docs/plugins.md compiles with the tsconfig.json that the guide shows, loads, and does what it says. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync, mkdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { STAGES } from '@posthorn/core/hook/contract';
import type { Plugin } from '@posthorn/sdk';
import { installedTypes, newPluginFiles, tsconfigFor } from '@posthorn/sdk/scaffold';
import { testClock, testDns, testLog } from '@posthorn/sdk/testing';
import { describeTrial, tryPlugin, type TrialParts } from '@posthorn/sdk/try';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

const ROOT = join(import.meta.dirname, '../..');
const GUIDE = readFileSync(join(ROOT, 'docs/plugins.md'), 'utf8');
const EXAMPLE = readFileSync(join(ROOT, 'docs/examples/my-filter.ts'), 'utf8');
const BLOCKS = [...GUIDE.matchAll(/<!-- (.*) -->\n```(ts|json)\n([^]*?)```/g)].map(([, title = '', language, code = '']) => ({
  title,
  language,
  code,
}));
const PARTS: TrialParts = {
  dns: testDns({}),
  clock: testClock(),
  log: testLog([]),
  hostname: 'mx.example.org',
  dataDirectory: '/nonexistent',
};

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'plugin-guide-'));
  // Node finds the SDK here as the server's loader does: the same one for all plugins.
  mkdirSync(join(folder, 'node_modules/@posthorn'), { recursive: true });
  symlinkSync(join(ROOT, 'plugins/sdk'), join(folder, 'node_modules/@posthorn/sdk'));
});
afterAll(() => rmSync(folder, { recursive: true }));

function compile(files: Readonly<Record<string, string>>): string {
  const project = mkdtempSync(join(tmpdir(), 'plugin-compile-'));
  try {
    for (const [name, content] of Object.entries(files)) writeFileSync(join(project, name), content);
    execFileSync(join(ROOT, 'node_modules/.bin/tsc'), ['-p', project], { encoding: 'utf8', stdio: 'pipe' });
    return '';
  } catch (error) {
    return String((error as { stdout?: unknown }).stdout);
  } finally {
    rmSync(project, { recursive: true });
  }
}

async function load(name: string, code: string): Promise<Plugin> {
  const path = join(folder, `${name}.ts`);
  writeFileSync(path, code);
  return ((await import(/* @vite-ignore */ pathToFileURL(path).href)) as { default: Plugin }).default;
}

describe('docs/plugins.md', () => {
  const { sdk, types } = installedTypes();
  test('shows the example file as it is, and the tsconfig.json as it is made', () => {
    expect(BLOCKS.find(({ title }) => title === 'docs/examples/my-filter.ts')?.code).toBe(EXAMPLE);
    const shown = BLOCKS.find(({ title }) => title === 'tsconfig')?.code ?? '';
    expect(JSON.parse(shown)).toEqual(
      JSON.parse(tsconfigFor('/opt/posthorn/plugins/sdk/dist/index.d.ts', '/opt/posthorn/node_modules/@types')),
    );
  });
  test('every block of code compiles in a folder of its own', () => {
    const blocks = BLOCKS.filter(({ language }) => language === 'ts');
    expect(blocks.length).toBeGreaterThanOrEqual(4);
    const files = Object.fromEntries(
      blocks.map(({ title, code }, i) => [title.endsWith('my-filter.ts') ? 'my-filter.ts' : `block${i}.ts`, code]),
    );
    expect(compile({ ...files, 'tsconfig.json': tsconfigFor(sdk, types) })).toBe('');
  });
  test('a slip in a plugin is an error in the editor', () => {
    const slip = EXAMPLE.replace("kind: 'evidence'", "kind: 'evidense'");
    expect(compile({ 'slip.ts': slip, 'tsconfig.json': tsconfigFor(sdk, types) })).toContain('evidense');
  });
  test('the file of a new plugin compiles and loads', async () => {
    const files = Object.fromEntries(newPluginFiles('fresh-one').map(({ name, content }) => [name, content]));
    expect(compile(files)).toBe('');
    const plugin = await load('fresh-one', files['fresh-one.ts'] ?? '');
    expect(describeTrial(await tryPlugin(plugin, { message: Buffer.from('Subject: x\n\n') }, PARTS))).toContain('nothing to say');
  });
  test('the test of the example passes, in a folder of its own, as the guide says to run it', () => {
    const project = mkdtempSync(join(tmpdir(), 'plugin-test-'));
    try {
      writeFileSync(join(project, 'my-filter.ts'), EXAMPLE);
      writeFileSync(join(project, 'my-filter.test.ts'), BLOCKS.find(({ title }) => title === "a plugin's own test")?.code ?? '');
      const register = join(ROOT, 'plugins/sdk/dist/register.js');
      const ran = execFileSync(process.execPath, ['--import', register, '--test', 'my-filter.test.ts'], {
        cwd: project,
        encoding: 'utf8',
        // Under a runner of tests Node's own would report to it.
        env: { ...process.env, NODE_TEST_CONTEXT: undefined },
      });
      expect(ran).toMatch(/pass 1\b[\s\S]*fail 0\b/);
    } finally {
      rmSync(project, { recursive: true });
    }
  });
  test('the example does what the guide says', async () => {
    const plugin = await load('my-filter', EXAMPLE);
    const ask = async (message: string, user?: string) => {
      const recorded = { message: Buffer.from(message), ...(user === undefined ? {} : { user }) };
      return describeTrial(await tryPlugin(plugin, recorded, { ...PARTS, options: { words: ['lottery', 'casino'], weight: 4 } }));
    };
    expect(await ask('From: a@b\nSubject: Online Casino\n\nx')).toMatch(
      /^message \(\d+\.\d ms\): MY_WORDS \+4 \(subject has casino\)$/,
    );
    expect(await ask('From: a@b\nSubject: minutes\n\nlottery')).toContain('nothing to say');
    expect(await ask('Subject: lottery\n\nx')).toContain('reject 5.6.0 A message must have a From header');
    expect(await ask('Subject: lottery\n\nx', 'alice')).toContain('nothing to say');
  });
  test('the other plugins do what they say', async () => {
    const [blocklist, digest] = BLOCKS.filter(({ code }) => /name: '(one-blocklist|digest)'/.test(code));
    const dns = testDns({ '7.2.0.192.list.example A': ['127.0.0.2'] });
    const given = { ...PARTS, dns, options: { zone: 'list.example' } };
    const ask = async (clientAddress: string) =>
      describeTrial(
        await tryPlugin(await load('blocklist', blocklist?.code ?? ''), { message: Buffer.from('x'), clientAddress }, given),
      );
    expect(await ask('192.0.2.7')).toContain('reject 554 Client is listed in list.example');
    expect(await ask('192.0.2.8')).toContain('nothing to say');
    const tried = await tryPlugin(await load('digest', digest?.code ?? ''), { message: Buffer.from('Subject: x\n\nx') }, PARTS);
    expect(describeTrial(tried)).toMatch(/replace-header X-Digest: [0-9a-f]{64}$/);
  });
  test('a plugin that writes into the message, throws or answers nonsense is told so', async () => {
    const make = (name: string, body: string) =>
      load(
        name,
        `import { definePlugin } from '@posthorn/sdk';\nexport default definePlugin({ name: '${name}', version: '1', hooks: { message({ bytes }) { ${body} } } });`,
      );
    const ask = async (name: string, body: string) =>
      describeTrial(await tryPlugin(await make(name, body), { message: Buffer.from('a: b\n\nx') }, PARTS));
    expect(await ask('writes', 'bytes.whole[0] = 0;')).toContain('FAILED, nonsense: it wrote into the message');
    expect(await ask('throws', "throw new Error('broken');")).toContain('FAILED, threw: Error: broken');
    expect(await ask('nonsense', "return { kind: 'maybe' };")).toContain('FAILED, nonsense');
  });
});

describe('docs/stages.md', () => {
  test('has a section for each stage, and for no other', () => {
    const sections = [...readFileSync(join(ROOT, 'docs/stages.md'), 'utf8').matchAll(/^### (.+)$/gm)].map(([, name]) => name);
    expect(new Set(sections)).toEqual(new Set<string>(STAGES));
    expect(sections).toHaveLength(STAGES.length);
  });
});
