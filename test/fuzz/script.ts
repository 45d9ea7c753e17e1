/**
 * What a round of a fuzzer sends: the beginning of a dialogue, up to any of its steps or into the middle of one, so that
 * every state that a dialogue reaches is one that damaged lines meet; then such lines. Events of the dialogue (a
 * handshake, a drain) stay in their places.
 */
import { damagedLines, type Random } from './random.ts';

export interface Action {
  readonly do: string;
  readonly bytes: Buffer;
}

export interface Script<D> {
  readonly dialog: D;
  readonly actions: readonly Action[];
}

/** All lines that clients send in these dialogues. */
export function linesOf(dialogs: readonly { readonly steps: readonly Action[] }[]): string[] {
  return dialogs
    .flatMap((dialog) => dialog.steps.map((step) => step.bytes.toString('latin1')))
    .flatMap((text) => text.split(/(?<=\r\n)/))
    .filter((line) => line !== '');
}

/** A script out of one of `dialogs`, with up to `most` damaged lines behind its beginning. */
export function scriptFrom<D extends { readonly steps: readonly Action[] }>(
  random: Random,
  dialogs: readonly D[],
  lines: readonly string[],
  most: number,
): Script<D> {
  const dialog = dialogs[random(dialogs.length)];
  if (dialog === undefined) throw new Error('no dialogues');
  const actions: Action[] = dialog.steps.slice(0, random(dialog.steps.length + 1));
  const last = actions.at(-1);
  if (last?.do === 'send' && random(3) === 0)
    actions[actions.length - 1] = { do: 'send', bytes: last.bytes.subarray(0, random(last.bytes.length + 1)) };
  actions.push({ do: 'send', bytes: Buffer.from(damagedLines(random, lines, most), 'latin1') });
  return { dialog, actions };
}

/** `bytes` in chunks of up to `chunkBytes` says each; each one a copy that its caller may spoil. */
export function* chunksOf(bytes: Buffer, chunkBytes: Random): Generator<Buffer> {
  for (let at = 0; at < bytes.length;) {
    const chunk = Buffer.from(bytes.subarray(at, at + chunkBytes(bytes.length)));
    at += chunk.length;
    yield chunk;
  }
}
