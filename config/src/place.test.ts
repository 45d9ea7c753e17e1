import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { explain } from './explain.ts';
import { checkValue, type Finding, findingsText } from './issues.ts';
import { problemsInFile } from './place.ts';

const OPTIONS = z.strictObject({ weight: z.number().default(3), words: z.array(z.string()).default([]) });

let folder: string;
beforeAll(() => void (folder = mkdtempSync(join(tmpdir(), 'posthorn-place-'))));
afterAll(() => rmSync(folder, { recursive: true }));

function findingsIn(options: unknown): readonly Finding[] {
  const checked = checkValue(OPTIONS, options, ['mode']);
  return checked.ok ? [] : checked.findings;
}

function shown(yaml: string, index: number, findings: readonly Finding[]): string {
  const file = join(folder, 'posthorn.yaml');
  writeFileSync(file, yaml);
  return explain(problemsInFile(file, index, findings)).replaceAll(`${folder}/`, '');
}

test('what is wrong with the options of a plugin is shown at its lines, in their order', () => {
  const yaml = 'plugins:\n  - bayes\n  - ./my.ts:\n      wieght: 4\n      words: casino\n';
  expect(shown(yaml, 1, findingsIn({ wieght: 4, words: 'casino' }))).toBe(
    `posthorn.yaml:4:7: plugins[1]["./my.ts"].wieght: unknown key; did you mean "weight"?
    4 |       wieght: 4
      |       ^^^^^^
posthorn.yaml:5:14: plugins[1]["./my.ts"].words: expected a list, found "casino"; begin each entry with "- "
    5 |       words: casino
      |              ^^^^^^
`,
  );
});

test('an entry without options, or a list that has changed meanwhile, is shown as near as it can be', () => {
  const missing = checkValue(z.strictObject({ zone: z.string() }), {});
  const findings = missing.ok ? [] : missing.findings;
  expect(shown('plugins:\n  - one-blocklist\n', 0, findings)).toContain('posthorn.yaml:2:5: plugins[0].zone: zone is missing');
  expect(shown('plugins: []\n', 3, findings)).toContain('zone is missing');
  expect(shown('plugins: [', 0, findings)).toBe('\n');
});

test('the same in one line, without a file', () => {
  expect(findingsText(findingsIn({ wieght: 4, words: 'x' }))).toBe(
    'words: expected a list, found "x", begin each entry with "- "; wieght: unknown key, did you mean "weight"?',
  );
  expect(findingsText(findingsIn({ modes: 1 }))).toBe('modes: unknown key, did you mean "mode"?');
  expect(findingsText(findingsIn(5))).toBe('expected a mapping (key: value), found 5');
});
