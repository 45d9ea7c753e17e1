/** The guides name files, keys and commands: what they name must be there. */
import { existsSync, globSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { configSchema } from '@posthorn/config';
import { createProgram } from '@posthorn/workers/cli/main';
import { describe, expect, test } from 'vitest';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const FILES = globSync('{bin,core,workers,plugins,config,test,bench,docs}/**/*', {
  cwd: ROOT,
  exclude: (path) => /(^|\/)(node_modules|dist|results)$/.test(path),
});
const GUIDES = [
  'README.md',
  ...readdirSync(join(ROOT, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
];

const read = (file: string) => readFileSync(join(ROOT, file), 'utf8');

/** What stands in backticks outside of blocks. */
function spansOf(file: string): string[] {
  const text = read(file).replaceAll(/^```[\s\S]*?^```$/gm, '');
  return [...text.matchAll(/`([^`\n]+)`/g)].map(([, span]) => span ?? '');
}

describe.each(['docs/overview.md', 'docs/flow.md'])('%s', (guide) => {
  const named = spansOf(guide).filter(
    (span) => /^[\w./-]+\.(ts|js|md)$/.test(span) || /^(core|workers|plugins|config|test)\//.test(span),
  );
  test('names many files and folders', () => expect(named.length).toBeGreaterThan(10));
  test.each(named)('%s is there', (name) => {
    const path = name.replace(/\/\*?$/, '');
    expect(FILES.some((file) => `/${file}`.endsWith(`/${path}`) || `/${file}`.includes(`/${path}/`))).toBe(true);
  });
});

test.each(GUIDES)('%s links to files that are there', (guide) => {
  for (const [, target = ''] of read(guide).matchAll(/\]\((?!https?:)([^)#]+)[^)]*\)/g)) {
    expect([guide, target, existsSync(join(ROOT, dirname(guide), target))]).toEqual([guide, target, true]);
  }
});

test.each(GUIDES)('%s runs scripts and commands that exist', (guide) => {
  const text = read(guide);
  const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
  for (const [, script = ''] of text.matchAll(/npm run ([a-z0-9:]+)(?!.*in config\/)/g))
    expect(Object.keys(scripts)).toContain(script);
  const commands = createProgram().commands.map((command) => command.name());
  for (const [, command = ''] of text.matchAll(/`posthorn ([a-z]+)/g)) expect(commands).toContain(command);
});

test('docs/tuning.md has every knob of throughput, and no other', () => {
  const known = Object.keys(configSchema.shape.throughput.def.innerType.shape).map((key) => `throughput.${key}`);
  const told = spansOf('docs/tuning.md').filter((span) => /^throughput\.\w+$/.test(span));
  expect([...new Set(told)].sort()).toEqual(known.sort());
});

test('docs/operations.md tells of log lines that are written', () => {
  const rows = /\| `msg` \|[\s\S]*?\n\n/.exec(read('docs/operations.md'))?.[0] ?? '';
  const events = rows
    .split('\n')
    .flatMap((row) => [...(row.split('|')[1] ?? '').matchAll(/`([a-z0-9.-]+)`/g)].map(([, name = '']) => name));
  const sources = FILES.filter((file) => /^(core|workers)\/src\/.*(?<!\.test)\.ts$/.test(file))
    .map(read)
    .join('');
  expect(events.length).toBeGreaterThan(15);
  for (const event of events.filter((name) => name !== 'msg')) expect(sources).toContain(`'${event}'`);
});
