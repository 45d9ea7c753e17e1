/** How the bytes of a dialogue are cut before a session gets them. */

/** How a dialogue's bytes are cut. `lock-step`: as the file has them. Else all bytes between two events, in these chunks. */
export type Cutting = 'lock-step' | { readonly every: number } | { readonly at: number };

/** A step of a dialogue: the client's bytes, or something that happens. */
interface AnyStep {
  readonly do: string;
  /** Empty when something else happens. */
  readonly bytes: Buffer;
}

/** Steps as they are played: what is sent one after the other is one send, but in lock-step. */
export function stepsFor<Step extends AnyStep>(steps: readonly Step[], cutting: Cutting): readonly Step[] {
  if (cutting === 'lock-step') return steps;
  const all: Step[] = [];
  for (const step of steps) {
    const last = all.at(-1);
    if (step.do === 'send' && last?.do === 'send')
      all[all.length - 1] = { ...step, bytes: Buffer.concat([last.bytes, step.bytes]) };
    else all.push(step);
  }
  return all;
}

function cut(bytes: Buffer, cutting: Cutting): Buffer[] {
  if (cutting === 'lock-step') return [bytes];
  if ('at' in cutting) return [bytes.subarray(0, cutting.at), bytes.subarray(cutting.at)].filter((chunk) => chunk.length > 0);
  const chunks: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += cutting.every) chunks.push(bytes.subarray(at, at + cutting.every));
  return chunks;
}

/** Feeds them. The caller's buffer is reused in service: what a session still needs it has to copy. */
export function feedCut(session: { feed(chunk: Uint8Array): void }, bytes: Buffer, cutting: Cutting): void {
  for (const chunk of cut(bytes, cutting)) {
    const reused = Buffer.from(chunk);
    session.feed(reused);
    reused.fill('?');
  }
}
