// The loader as it is built: plugin files in TypeScript are loaded by Node, not by the test runner.
import { mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { filesStamp, loadPlugins } from '@posthorn/workers/plugin/loader';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'plugin-loader-'));
  mkdirSync(join(folder, 'plugins'));
});
afterAll(() => rmSync(folder, { recursive: true }));

let files = 0;
/** A plugin file of its own, so that nothing is in Node's cache. @returns how the configuration names it */
function file(code: string): string {
  const key = `./plugins/p${(files += 1)}.ts`;
  writeFileSync(join(folder, key), code);
  return key;
}

/** @param parts of the definition, beside the name */
function defined(parts: string, name = 'mine'): string {
  return `import { definePlugin, z } from '@posthorn/sdk';\nexport default definePlugin({ name: '${name}', version: '1.0.0', ${parts} });\n`;
}

const HOOK = 'hooks: { message: () => undefined }';

/** What is wrong with a list, without the folder of the test. */
async function problemOf(...list: Parameters<typeof loadPlugins>[0]): Promise<string> {
  const error: unknown = await loadPlugins(list, folder).then(
    () => expect.unreachable('it was loaded'),
    (cause: unknown) => cause,
  );
  expect(error).toMatchObject({ name: 'PluginError' });
  return (error as Error).message.replaceAll(folder, '').replaceAll(/p\d+\.ts/g, 'p.ts');
}

describe('a list of plugins', () => {
  test('names packages that come along in either spelling, and files relative to the configuration', async () => {
    const loaded = await loadPlugins(['senderAuth', { bayes: null }, file(defined(HOOK))], folder);
    expect(loaded.map(({ manifest }) => manifest.name)).toEqual(['sender-auth', 'bayes', 'mine']);
    expect((await loadPlugins(['sender-auth'], folder))[0]?.manifest.name).toBe('sender-auth');
  });

  test('fills in the defaults of options, and of what every plugin may be told', async () => {
    const key = file(defined(`options: z.strictObject({ weight: z.number().default(3), word: z.string() }), ${HOOK}`));
    const [one] = await loadPlugins([{ [key]: { word: 'x' } }], folder);
    expect(one).toMatchObject({
      mode: 'enforce',
      options: { weight: 3, word: 'x' },
      manifest: { onFailure: 'defer', deadlineMs: 500, run: { isolation: 'inline' }, stages: ['message'] },
    });
  });

  test('lets the operator overrule mode, failure, deadline and place', async () => {
    const key = file(defined(`run: 'compute', ${HOOK}`));
    const told = { mode: 'shadow', onFailure: 'pass', deadlineMs: '2s', isolation: 'wait' };
    expect((await loadPlugins([{ [key]: told }], folder))[0]).toMatchObject({
      mode: 'shadow',
      options: {},
      manifest: { onFailure: 'pass', deadlineMs: 2000, run: { isolation: 'thread', pool: 'wait' } },
    });
    expect((await loadPlugins([{ [key]: { isolation: 'inline' } }], folder))[0]?.manifest.run).toEqual({ isolation: 'inline' });
  });

  test('has each plugin once', async () => {
    expect(await problemOf(file(defined(HOOK)), file(defined(HOOK)))).toBe(
      'plugins[1] (./plugins/p.ts): there is a plugin named mine already',
    );
  });
});

describe('what is wrong with an entry names the entry and the key', () => {
  test.each([
    [
      'bays',
      'there is no such plugin; expected one of bayes, clamav, sender-auth or a file such as ./plugins/bays.ts; did you mean "bayes"?',
    ],
    ['toString', 'there is no such plugin; expected one of bayes, clamav, sender-auth or a file such as ./plugins/to-string.ts'],
    ['./plugins/none.ts', 'cannot read /plugins/none.ts'],
  ])('%s', async (key, problem) => expect(await problemOf(key)).toBe(`plugins[0] (${key}): ${problem}`));

  test.each<[string, Record<string, unknown>, string]>([
    ['an option that the plugin does not know', { wieght: 4 }, 'wieght: unknown key, did you mean "weight"?'],
    ['an option of the wrong type', { weight: 'heavy' }, 'weight: expected a number, found "heavy"'],
    ['a slip in what every plugin may be told', { onfailure: 'pass' }, 'onfailure: unknown key, did you mean "onFailure"?'],
    ['a mode that is none', { mode: 'shadwo' }, 'mode: expected one of enforce, shadow, found "shadwo", did you mean "shadow"?'],
    ['a deadline that is none', { deadlineMs: 0 }, 'deadlineMs: expected a duration, such as 300ms, 5m or 2h, found 0'],
    ['a deadline beyond all sense', { deadlineMs: '11m' }, 'deadlineMs: expected a duration of at most 10m, found "11m"'],
  ])('%s', async (_, options, problem) => {
    const key = file(defined(`options: z.strictObject({ weight: z.number().default(3) }), ${HOOK}`));
    expect(await problemOf({ [key]: options })).toBe(`plugins[0] (./plugins/p.ts): ${problem}`);
  });

  test('options of a plugin that takes none', async () => {
    expect(await problemOf({ [file(defined(HOOK))]: { weight: 1 } })).toContain(
      'weight: unknown key, known here: mode, onFailure',
    );
  });
});

describe('what is wrong with a file names its line', () => {
  test.each<[string, string, string]>([
    [
      'a syntax error',
      'export default 1;\nconst b = ;',
      'cannot be loaded: Expression expected (/plugins/p.ts:2)\nconst b = ;\n          ^',
    ],
    [
      'TypeScript that cannot be erased',
      'export const x = 1;\nenum Colour { Red }',
      'cannot be loaded: TypeScript enum is not supported in strip-only mode; only what can be erased is loaded: no enum, no namespace, no parameter properties (/plugins/p.ts:2)\nenum Colour { Red }\n^^^^^^^^^^^^^^^^^^^',
    ],
    [
      'a type imported as a value',
      "import { definePlugin, Requests } from '@posthorn/sdk';\nexport default definePlugin({} as Requests);",
      "cannot be loaded: The requested module '@posthorn/sdk' does not provide an export named 'Requests'; a type must be imported with `import type` (/plugins/p.ts:1)\nimport { definePlugin, Requests } from '@posthorn/sdk';\n                       ^^^^^^^^",
    ],
    [
      'a file imported without its ending',
      "import { x } from './helper';\nexport default x;",
      'cannot be loaded: Error: Cannot find module \'/plugins/helper\' imported from /plugins/p.ts; files are imported with their ending, such as "./helper.ts"',
    ],
    [
      'an error while it is loaded',
      "export default 1;\n\nthrow new Error('oh');",
      'cannot be loaded: Error: oh (/plugins/p.ts:3:7)',
    ],
    ['something thrown that is no error', "export default 1;\nthrow 'oh';", 'cannot be loaded: oh'],
  ])('%s', async (_, code, problem) => expect(await problemOf(file(code))).toBe(`plugins[0] (./plugins/p.ts): ${problem}`));
});

describe('what is no plugin', () => {
  const none = 'its default export is no plugin; expected `export default definePlugin({ … })`';
  test.each<[string, string, string]>([
    ['nothing exported', 'export const x = 1;', none],
    ['a plain object', "export default { name: 'x' };", none],
    ['no hooks', defined('hooks: {}'), 'it has no hooks'],
    [
      'a hook for no stage',
      defined('hooks: { mesage() {} }'),
      'it has a hook for "mesage", which is no stage; did you mean "message"?',
    ],
    ['a hook that is no function', defined('hooks: { message: 1 }'), 'its hook for message is no function'],
    [
      'a name with blanks',
      defined(HOOK, 'My Filter'),
      'bad plugin: name: expected lower case letters, digits and dashes, found "My Filter"',
    ],
    [
      'a kind of thread that is none',
      defined(`run: 'thread', ${HOOK}`),
      'bad plugin: run: expected inline, compute or wait, found a mapping',
    ],
    [
      'an older contract',
      defined(HOOK).replace('export default definePlugin(', 'const made = definePlugin(') +
        'export default { ...made, manifest: { ...made.manifest, contract: 0 } };',
      'was written for contract 0, this server speaks 1',
    ],
  ])('%s', async (_, code, problem) => expect(await problemOf(file(code))).toBe(`plugins[0] (./plugins/p.ts): ${problem}`));
});

describe('a changed file', () => {
  test('is loaded anew, and an unchanged one is not', async () => {
    const key = file(defined(HOOK, 'before'));
    const load = async () => (await loadPlugins([key], folder))[0];
    const before = await load();
    expect((await load())?.plugin).toBe(before?.plugin);
    writeFileSync(join(folder, key), defined(HOOK, 'after'));
    utimesSync(join(folder, key), 2e9, 2e9);
    expect((await load())?.manifest.name).toBe('after');
  });

  test('has another stamp, packages have none, and a missing file is not in the way', async () => {
    const key = file(defined(HOOK));
    const stamp = () => filesStamp(['bayes', { [key]: { mode: 'shadow' } }], folder);
    const before = await stamp();
    expect(await stamp()).toBe(before);
    utimesSync(join(folder, key), 2e9, 2e9);
    expect(await stamp()).not.toBe(before);
    expect(await filesStamp(['bayes'], folder)).toBe('');
    expect(await filesStamp(['./none.ts'], folder)).toContain('ENOENT');
  });
});

test('a plugin in any folder has the SDK of the server', async () => {
  const { definePlugin } = await import('@posthorn/sdk');
  const [one] = await loadPlugins([file(`${defined(HOOK)}export { definePlugin };`)], folder);
  // One SDK, and so one zod: the schemas of plugins are the loader's kind.
  expect(one?.plugin.options.constructor).toBe(definePlugin({ name: 'x', version: '1', hooks: {} }).options.constructor);
});
