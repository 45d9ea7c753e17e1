/**
 * Turns what the schema library finds into our words: expected this, found that, did you mean the other. Used by load.ts
 * and users.ts for files, and by the plugin loader for options, whose schema only the plugin has. Pure.
 */
import type { z } from 'zod';
import { allKeys, keysAt } from './schema-keys.ts';
import { nearest } from './nearest.ts';
import { describeValue, formatPath, type Path, type Problem } from './problem.ts';
import type { YamlSource } from './yaml-source.ts';

type Issue = z.core.$ZodIssue;

const TYPE_WORDS: Readonly<Record<string, string>> = {
  string: 'a text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  tuple: 'a list',
  object: 'a mapping (key: value)',
  record: 'a mapping (key: value)',
};

/** What is wrong at one place of a value. */
export interface Finding {
  readonly path: Path;
  /** Is it about the key at `path`, or about what it is set to? */
  readonly spot: 'key' | 'value';
  readonly message: string;
  readonly hint?: string;
}

/**
 * Checks a value against a schema.
 * @param moreKeys what is known at the top beside the schema's own keys, for `did you mean`
 * @returns the value with defaults, or what is wrong with it
 */
export function checkValue<Schema extends z.ZodType>(
  schema: Schema,
  value: unknown,
  moreKeys: readonly string[] = [],
): { readonly ok: true; readonly value: z.output<Schema> } | { readonly ok: false; readonly findings: readonly Finding[] } {
  const result = schema.safeParse(value);
  if (result.success) return { ok: true, value: result.data };
  return { ok: false, findings: result.error.issues.flatMap((issue) => findingsOf(issue, { schema, value, moreKeys })) };
}

/** @returns findings as one line: `weight: expected a number, found "heavy"; …`. */
export function findingsText(findings: readonly Finding[]): string {
  return findings
    .map(({ path, message, hint }) =>
      `${formatPath(path)}: ${message}${hint === undefined ? '' : `, ${hint}`}`.replace(/^: /, ''),
    )
    .join('; ');
}

/**
 * Checks a file's value against a schema.
 * @returns the value with defaults, or the problems in the order of the file
 */
export function checkShape<Schema extends z.ZodType>(
  schema: Schema,
  source: YamlSource,
): { readonly ok: true; readonly value: z.output<Schema> } | { readonly ok: false; readonly problems: readonly Problem[] } {
  const checked = checkValue(schema, source.value ?? {});
  if (checked.ok) return checked;
  const problems = checked.findings.map(({ path, spot, message, hint }) => source.problem(path, spot, message, hint));
  return { ok: false, problems: inOrder(problems) };
}

/** @returns the problems sorted by their place in the file, each once (two rules may say the same of one value). */
export function inOrder(problems: readonly Problem[]): Problem[] {
  const once = new Map(problems.map((problem) => [`${problem.path} ${problem.message}`, problem]));
  return [...once.values()].sort((a, b) => a.line - b.line || a.column - b.column);
}

interface Subject {
  readonly schema: z.ZodType;
  readonly value: unknown;
  readonly moreKeys: readonly string[];
}

function finding(path: Path, spot: Finding['spot'], message: string, hint?: string): Finding {
  return hint === undefined ? { path, spot, message } : { path, spot, message, hint };
}

function findingsOf(issue: Issue, subject: Subject): Finding[] {
  const path = issue.path.map((part) => (typeof part === 'symbol' ? String(part) : part));
  if (issue.code === 'unrecognized_keys') return issue.keys.map((key) => unknownKey(key, path, subject));
  if (issue.code === 'invalid_key') {
    const expected = withoutPrefix(issue.issues[0]?.message ?? 'another key');
    return [finding(path, 'key', `expected ${expected}, found ${describeValue(path.at(-1))}`)];
  }
  const found = valueAt(subject.value, path);
  if (found === undefined && path.length > 0) {
    return [finding(path, 'key', `${String(path.at(-1))} is missing`, `expected ${expectation(issue)}`)];
  }
  return [finding(path, 'value', `expected ${expectation(issue)}, found ${describeValue(found)}`, hintFor(issue, found))];
}

function unknownKey(key: string, path: Path, { schema, moreKeys }: Subject): Finding {
  const known = [...(keysAt(schema, path) ?? []), ...(path.length === 0 ? moreKeys : [])];
  const close = nearest(key, known);
  let hint = close === undefined ? undefined : `did you mean "${close}"?`;
  // The right key at the wrong depth: told where it belongs.
  if (close === undefined) {
    const homes = allKeys(schema).filter((one) => one.key === key);
    hint =
      homes.length > 0 && homes.length < 3
        ? `it belongs in ${homes.map(({ path: at }) => at.slice(0, -key.length - 1) || 'the top').join(' or ')}`
        : known.length > 0 && known.length <= 12
          ? `known here: ${known.join(', ')}`
          : undefined;
  }
  return finding([...path, key], 'key', 'unknown key', hint);
}

function expectation(issue: Issue): string {
  switch (issue.code) {
    case 'invalid_type':
      return issue.message.startsWith('expected ')
        ? withoutPrefix(issue.message)
        : (TYPE_WORDS[issue.expected] ?? issue.expected);
    case 'invalid_value':
      return issue.values.length === 1 ? String(issue.values[0]) : `one of ${issue.values.map(String).join(', ')}`;
    case 'too_small':
      if (issue.origin === 'array') return `at least ${Number(issue.minimum) === 1 ? 'one entry' : `${issue.minimum} entries`}`;
      if (issue.origin === 'string') return 'a text that is not empty';
      return issue.message.startsWith('expected ') ? withoutPrefix(issue.message) : `a number of at least ${issue.minimum}`;
    case 'too_big':
      return issue.message.startsWith('expected ') ? withoutPrefix(issue.message) : `a number of at most ${issue.maximum}`;
    case 'invalid_union':
      return unionExpectation(issue);
    default:
      return withoutPrefix(issue.message);
  }
}

/** A union without words of its own: what its branches say, each once. */
function unionExpectation(issue: Extract<Issue, { code: 'invalid_union' }>): string {
  if (issue.message.startsWith('expected ')) return withoutPrefix(issue.message);
  const said = new Set(issue.errors.flatMap((branch) => (branch[0] === undefined ? [] : [expectation(branch[0])])));
  return [...said].join(' or ');
}

function hintFor(issue: Issue, found: unknown): string | undefined {
  if (issue.code === 'invalid_value' && typeof found === 'string') {
    const close = nearest(found, issue.values.map(String));
    return close === undefined ? undefined : `did you mean "${close}"?`;
  }
  if (issue.code !== 'invalid_type') return undefined;
  if (issue.expected === 'string' && (typeof found === 'number' || typeof found === 'boolean'))
    return `write "${String(found)}" in quotes`;
  if (issue.expected === 'array') return 'begin each entry with "- "';
  if (issue.expected === 'boolean' && typeof found === 'string' && /^(yes|no|on|off)$/i.test(found)) {
    return `write ${/^(yes|on)$/i.test(found) ? 'true' : 'false'}`;
  }
  return undefined;
}

function withoutPrefix(message: string): string {
  return message.replace(/^expected /, '');
}

function valueAt(value: unknown, path: Path): unknown {
  let here = value;
  for (const part of path) {
    if (typeof here !== 'object' || here === null || !Object.hasOwn(here, part)) return undefined;
    here = (here as Record<string | number, unknown>)[part];
  }
  return here;
}
