/**
 * The labelled mail of the corpus beside the project, made ready to be sent: CRLF line ends, the last line too, a file
 * for each message in a temporary folder. Nothing of it may get into the project.
 */
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { run } from '../lib/process.ts';

const CORPUS = fileURLToPath(new URL('../../../shared/corpus/', import.meta.url));

export interface CorpusMessage {
  /** Path in the corpus: names the message where it must be named. */
  readonly id: string;
  /** File with CRLF line ends. */
  readonly path: string;
}

/** @returns undefined when there is no corpus here. */
export async function unpackCorpus(folder: string, limit = Infinity): Promise<CorpusMessage[] | undefined> {
  const manifest = join(CORPUS, 'manifest.tsv');
  if (!existsSync(manifest)) return undefined;
  const raw = join(folder, 'raw');
  const ready = join(folder, 'mail');
  for (const path of [raw, ready]) mkdirSync(path);
  for (const name of readdirSync(CORPUS).filter((name) => /^dev-.*\.tar\.xz$/.test(name))) {
    await run(['tar', 'xJf', join(CORPUS, name), '-C', raw]);
  }
  const ids = readFileSync(manifest, 'utf8')
    .split('\n')
    .slice(1)
    .flatMap((line) => line.split('\t')[1] ?? [])
    .slice(0, limit);
  return ids.map((id, index) => {
    const path = join(ready, String(index));
    writeFileSync(path, toCrlf(readFileSync(join(raw, id))));
    return { id, path };
  });
}

function toCrlf(bytes: Buffer): Buffer {
  const text = bytes.toString('latin1').replaceAll(/\r?\n/g, '\r\n');
  return Buffer.from(text.endsWith('\r\n') ? text : `${text}\r\n`, 'latin1');
}
