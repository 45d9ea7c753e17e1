/**
 * Why a plugin's file could not be loaded, told to its author: the message, the line, and what is usually meant by it.
 * Used by loader.ts. Pure. The places come from the first lines of Node's stacks; where there is none, none is told.
 */

/**
 * @param error what `import` threw
 * @returns `Expression expected (/srv/plugins/my-filter.ts:2)`, with the line and a caret below where there is one
 */
export function importProblem(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { place, excerpt } = placeOf(error);
  const message = error instanceof SyntaxError ? error.message : `${error.name}: ${error.message}`;
  return `${message}${hintFor(error)}${place === undefined ? '' : ` (${place})`}${excerpt}`;
}

function placeOf(error: Error): { readonly place: string | undefined; readonly excerpt: string } {
  const lines = (error.stack ?? '').split('\n');
  // A file that could not be parsed is named before the error: its line, some source, a caret.
  const head = /^(?:file:\/\/)?(\/[^?]*?)(?:\?[^:]*)?:(\d+)$/.exec(lines[0] ?? '');
  if (head !== null) {
    const caret = lines.findIndex((line) => /^ *\^+ *$/.test(line));
    const source = caret > 0 ? `\n${lines[caret - 1]}\n${lines[caret]}` : '';
    return { place: `${head[1]}:${head[2]}`, excerpt: source };
  }
  for (const line of lines) {
    const frame = /^ +at .*?file:\/\/(\/[^?]*?)\?changed=[\d.]+:(\d+):(\d+)\)?$/.exec(line);
    if (frame !== null) return { place: `${frame[1]}:${frame[2]}:${frame[3]}`, excerpt: '' };
  }
  return { place: undefined, excerpt: '' };
}

function hintFor(error: Error): string {
  const code = 'code' in error ? error.code : undefined;
  if (code === 'ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX') {
    return '; only what can be erased is loaded: no enum, no namespace, no parameter properties';
  }
  if (code === 'ERR_MODULE_NOT_FOUND' && /^Cannot find module '[^']*\/[^'/.]+' /.test(error.message)) {
    return '; files are imported with their ending, such as "./helper.ts"';
  }
  if (/does not provide an export named/.test(error.message)) return '; a type must be imported with `import type`';
  return '';
}
