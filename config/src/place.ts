/**
 * Finds the place in posthorn.yaml of what was found wrong with a plugin's options: only the plugin has their schema, so
 * they are checked after the file was read. Called by `posthorn check`.
 */
import { type Finding, inOrder } from './issues.ts';
import type { Path, Problem } from './problem.ts';
import { parseYaml, readText } from './yaml-source.ts';

const MAX_FILE_BYTES = 4 * 1024 * 1024;

/**
 * @param file posthorn.yaml, which could be read a moment ago
 * @param index of the plugin's entry in the list `plugins`
 * @param findings about its options
 * @returns the same as problems of the file, in its order; none when it cannot be read any more
 */
export function problemsInFile(file: string, index: number, findings: readonly Finding[]): Problem[] {
  const read = readText(file, MAX_FILE_BYTES);
  if (!read.ok) return [];
  const parsed = parseYaml(read.text, file);
  if (!parsed.ok) return [];
  const entry = (parsed.source.value as { readonly plugins?: readonly unknown[] } | null)?.plugins?.[index];
  const above: Path =
    typeof entry === 'object' && entry !== null ? ['plugins', index, ...Object.keys(entry)] : ['plugins', index];
  return inOrder(
    findings.map(({ path, spot, message, hint }) => parsed.source.problem([...above, ...path], spot, message, hint)),
  );
}
