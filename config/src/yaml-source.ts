/**
 * Reads a YAML file and knows where each key and value of it stands. Under load.ts (posthorn.yaml) and users.ts.
 * Anything may be in the file: too many bytes, no UTF-8, tabs, duplicate keys, nesting without end, aliases that multiply;
 * each comes back as problems with their place, nothing throws.
 */
import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs';
import {
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Pair,
  parseDocument,
  type YAMLError,
  type YAMLMap,
} from 'yaml';
import { formatPath, hideSecrets, type Path, type Problem } from './problem.ts';

/** More anchors than this used over and again is an attack or an accident, not a configuration. */
const MAX_ALIASES = 100;
const MAX_DEPTH = 64;
const MAX_SYNTAX_PROBLEMS = 10;

export type Read = { readonly ok: true; readonly text: string } | { readonly ok: false; readonly problems: readonly Problem[] };

/** Points at the key or at the value; for a value that is empty or a whole block, at its key. */
export type Spot = 'key' | 'value';

export interface YamlSource {
  readonly file: string;
  readonly document: Document.Parsed;
  /** Plain data: objects, arrays, strings, numbers, booleans, null. */
  readonly value: unknown;
  problem(path: Path, spot: Spot, message: string, hint?: string): Problem;
}

export type Parsed =
  | { readonly ok: true; readonly source: YamlSource }
  | { readonly ok: false; readonly problems: readonly Problem[] };

/**
 * Reads a whole file as UTF-8.
 * @param file as the operator named it, for messages; relative to the working directory
 * @param maxBytes a larger file is not read
 */
export function readText(file: string, maxBytes: number): Read {
  let bytes: Uint8Array;
  try {
    const descriptor = openSync(file, 'r');
    try {
      const facts = fstatSync(descriptor);
      if (facts.isDirectory()) return unreadable(file, 'is a folder, not a file');
      if (facts.size > maxBytes) return unreadable(file, `is larger than ${maxBytes} bytes`);
      bytes = readFileSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
  } catch (error) {
    return unreadable(file, `cannot be read: ${reasonOf(error)}`);
  }
  // A pipe tells no size beforehand.
  if (bytes.length > maxBytes) return unreadable(file, `is larger than ${maxBytes} bytes`);
  try {
    return { ok: true, text: new TextDecoder('utf-8', { fatal: true }).decode(bytes) };
  } catch {
    // The decoder says nothing but that it failed.
    return unreadable(file, 'is not UTF-8 text');
  }
}

function unreadable(file: string, message: string): Read {
  return { ok: false, problems: [{ file, line: 0, column: 0, length: 0, path: '', message }] };
}

function reasonOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (code === 'ENOENT') return 'there is no such file';
  if (code === 'EACCES') return 'permission denied';
  return error instanceof Error ? error.message : String(error);
}

/** Parses YAML 1.2. Never throws. */
export function parseYaml(text: string, file: string): Parsed {
  const counter = new LineCounter();
  const place = (offset: number, end: number, path: Path, message: string, hint?: string): Problem => {
    const { line, col } = counter.linePos(Math.min(offset, text.length));
    const start = counter.lineStarts[line - 1] ?? 0;
    const lineEnd = text.indexOf('\n', start);
    const source = text.slice(start, Math.min(lineEnd < 0 ? text.length : lineEnd, start + 2000)).replace(/\r$/, '');
    const length = Math.max(1, Math.min(end, start + source.length) - offset);
    const base = { file, line, column: col, length, path: formatPath(path), message, source: hideSecrets(source) };
    return hint === undefined ? base : { ...base, hint };
  };
  let document: Document.Parsed;
  try {
    document = parseDocument(text, {
      lineCounter: counter,
      prettyErrors: false,
      stringKeys: true,
      uniqueKeys: false,
      logLevel: 'error',
    });
  } catch (error) {
    // The parser recurses: a few thousand open brackets end its stack.
    if (!(error instanceof RangeError)) throw error;
    return { ok: false, problems: [place(0, 0, [], 'is nested too deeply')] };
  }
  const slips = [...document.errors, ...document.warnings].sort((a, b) => a.pos[0] - b.pos[0]);
  if (slips.length > 0) {
    const seen = new Set<number>();
    const problems = slips
      .map((slip) => {
        // What is missing at the end is shown at the last line that says something.
        const at = Math.min(slip.pos[0], text.trimEnd().length);
        const word = /^[\w.-]+/.exec(text.slice(at, at + 100))?.[0] ?? '';
        return place(at, at + word.length, [], syntaxMessage(slip), SYNTAX[slip.code]?.hint);
      })
      .filter(({ line }) => !seen.has(line) && seen.add(line));
    return { ok: false, problems: problems.slice(0, MAX_SYNTAX_PROBLEMS) };
  }
  const lookUp = makeLookUp();
  const oddities: Oddity[] = [];
  findOddities(document, document.contents, [], oddities);
  if (oddities.length > 0) {
    return { ok: false, problems: oddities.map(({ at, path, message, hint }) => place(at[0], at[1], path, message, hint)) };
  }
  let value: unknown;
  try {
    value = document.toJS({ maxAliasCount: MAX_ALIASES });
  } catch (error) {
    if (!(error instanceof ReferenceError || error instanceof RangeError)) throw error;
    return { ok: false, problems: [place(0, 0, [], 'uses its anchors too often, or inside themselves')] };
  }
  const problem: YamlSource['problem'] = (path, spot, message, hint) => {
    const [from, to] = rangeAt(document, lookUp, path, spot);
    return place(from, to, path, message, hint);
  };
  return { ok: true, source: { file, document, value, problem } };
}

const SYNTAX: Readonly<Record<string, { readonly message: string; readonly hint?: string }>> = {
  TAB_AS_INDENT: { message: 'a tab stands where YAML wants spaces', hint: 'indent with spaces' },
  BAD_INDENT: { message: 'this line is not indented like its neighbours' },
  MULTIPLE_DOCS: { message: 'a second document begins here', hint: 'remove the line ---' },
  NON_STRING_KEY: { message: 'a key must be a plain text' },
  TAG_RESOLVE_FAILED: { message: 'tags such as !this are not known here' },
};

function syntaxMessage(slip: YAMLError): string {
  if (slip.message.startsWith('Flow ')) return 'a list or mapping in brackets is not closed before this';
  if (slip.message.startsWith('Maximum call stack')) return 'is nested too deeply';
  return SYNTAX[slip.code]?.message ?? `not valid YAML: ${slip.message.split('\n', 1)[0] ?? ''}`;
}

interface Oddity {
  readonly at: readonly [number, number];
  readonly path: Path;
  readonly message: string;
  readonly hint?: string;
}

/**
 * Things that are YAML and would not survive the way into plain data. Duplicate keys are found here and not by the
 * parser, which compares each key with each other one: minutes for a file of many users.
 */
function findOddities(document: Document.Parsed, node: unknown, path: Path, found: Oddity[]): void {
  const here = rangeOf(node) ?? [0, 0];
  if (found.length >= MAX_SYNTAX_PROBLEMS) return;
  if (path.length > MAX_DEPTH) found.push({ at: here, path: path.slice(0, 1), message: 'is nested too deeply' });
  else if (isAlias(node) && node.resolve(document) === undefined) {
    found.push({ at: here, path, message: `there is no anchor &${node.source} above` });
  } else if (isMap(node)) {
    const keys = new Set<string>();
    for (const pair of node.items) {
      const key = keyOf(pair);
      const at = rangeOf(pair.key) ?? here;
      if (key === '__proto__') found.push({ at, path: [...path, key], message: 'is no key' });
      if (keys.has(key)) found.push({ at, path: [...path, key], message: 'this key is there twice', hint: 'keep one of them' });
      keys.add(key);
      findOddities(document, pair.value, [...path, key], found);
    }
  } else if (isSeq(node)) {
    for (const [index, item] of node.items.entries()) findOddities(document, item, [...path, index], found);
  }
}

type Mapping = YAMLMap;
type LookUp = (map: Mapping, key: string) => Pair | undefined;

/** Finds pairs by key, with an index for each mapping that was asked: many problems in one large mapping stay cheap. */
function makeLookUp(): LookUp {
  const indexes = new WeakMap<Mapping, Map<string, Pair>>();
  return (map, key) => {
    let index = indexes.get(map);
    if (index === undefined) {
      index = new Map(map.items.map((pair) => [keyOf(pair), pair]));
      indexes.set(map, index);
    }
    return index.get(key);
  };
}

/** @returns the key as plain data has it. */
export function keyOf(pair: Pair): string {
  return isScalar(pair.key) ? String(pair.key.value) : String(pair.key);
}

/** Start and end of what stands at `path`, or of the nearest thing above it that is there. */
function rangeAt(document: Document.Parsed, lookUp: LookUp, path: Path, spot: Spot): readonly [number, number] {
  let node: unknown = document.contents;
  let key: readonly [number, number] | undefined;
  for (const part of path) {
    if (isAlias(node)) node = node.resolve(document);
    if (isMap(node)) {
      const pair = lookUp(node, String(part));
      if (pair === undefined) break;
      key = rangeOf(pair.key) ?? key;
      node = pair.value;
    } else if (isSeq(node) && typeof part === 'number' && part < node.items.length) {
      node = node.items[part];
      key = rangeOf(node) ?? key;
    } else break;
  }
  const own = isScalar(node) || isAlias(node) ? rangeOf(node) : undefined;
  if (spot === 'value' && own !== undefined && own[1] > own[0]) return own;
  return key ?? rangeOf(node) ?? [0, 0];
}

function rangeOf(node: unknown): readonly [number, number] | undefined {
  if (!(isScalar(node) || isMap(node) || isSeq(node) || isAlias(node))) return undefined;
  return node.range === null || node.range === undefined ? undefined : [node.range[0], node.range[1]];
}
