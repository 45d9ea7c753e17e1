/**
 * A plugin that does, at RCPT and at MESSAGE, what the recipient's local part says: every way for a plugin to go wrong.
 * For tests of the hook host; run by Node as it is, so nothing but the SDK may be imported.
 */
import { definePlugin, type HookAnswer, z } from '@posthorn/sdk';

const held: unknown[] = [];

function endless(): never {
  for (let turns = 0; ; turns += 1) if (turns < 0) throw new Error('cannot be');
}

function fillHeap(): never {
  for (;;) held.push(Array.from({ length: 10_000 }, (_, index) => ({ index })));
}

function fillBuffers(): never {
  for (;;) held.push(Buffer.alloc(8 * 1024 * 1024, 1));
}

const after = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

const ways: Record<string, () => unknown> = {
  ok: () => undefined,
  finds: () => ({ kind: 'evidence', evidence: [{ name: 'EVIL', weight: 1, reason: 'as told' }] }),
  rejects: () => ({ kind: 'reject', text: 'as told' }),
  slow: async () => {
    await after(40);
    return { kind: 'reject', text: 'slow but in time' };
  },
  throws: () => {
    throw new Error('as told');
  },
  'throws-nothing': () => {
    throw undefined;
  },
  endless,
  'endless-later': async () => {
    await after(1);
    endless();
  },
  regex: () => /^(a+)+$/.test(`${'a'.repeat(50)}!`),
  'fill-heap': fillHeap,
  'fill-buffers': fillBuffers,
  'fill-buffers-later': async () => {
    await after(1);
    fillBuffers();
  },
  never: () => new Promise<never>(() => undefined),
  'resolves-late': () => after(1700).then(() => ({ kind: 'reject', text: 'too late' })),
  'rejects-late': () => after(1700).then(() => Promise.reject(new Error('too late'))),
  nonsense: () => ({ kind: 'explode' }),
  'nonsense-function': () => () => undefined,
  exit: () => process.exit(0),
  'exit-later': async () => {
    await after(1);
    process.exit(0);
  },
  'throws-outside': async () => {
    setTimeout(() => {
      throw new Error('outside');
    }, 1);
    await after(10_000);
  },
  'rejects-outside': () => {
    void Promise.reject(new Error('outside'));
  },
};

function act(recipient: string): HookAnswer {
  const way = ways[recipient.split('@')[0] ?? ''];
  // What it answers is checked by the host, which is the point.
  return way?.() as HookAnswer;
}

export default definePlugin({
  name: 'evil',
  version: '1.0.0',
  options: z.strictObject({}),
  run: 'compute',
  deadlineMs: 400,
  hooks: {
    rcpt: ({ recipient }) => act(recipient),
    message: ({ envelope }) => act(envelope.recipients[0]?.address ?? ''),
  },
});
