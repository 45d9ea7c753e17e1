/**
 * `bayes`: scores a message by the words of mail that was learned before. Runs on a compute thread, because parsing takes
 * a millisecond of CPU. Without a model, or with one of too little mail, it has nothing to say. When it fails, mail passes:
 * a score that is missing is better than mail that waits.
 */
import { definePlugin, type MessageBytes } from '@posthorn/sdk';
import { classify } from './classify.ts';
import { toEvidence } from './evidence.ts';
import { optionsSchema } from './options.ts';
import { PublishedModel } from './published.ts';
import { readMessage } from './readable.ts';
import { tokensOf } from './tokens.ts';

export const plugin = definePlugin({
  name: 'bayes',
  version: '0.1.0',
  options: optionsSchema,
  run: 'compute',
  onFailure: 'pass',
  open: ({ dataDirectory, clock, log }) => new PublishedModel(dataDirectory, clock, log),
  hooks: {
    async message({ session, bytes }, { options, state }) {
      if (options.skipAuthenticated && session.user !== undefined) return undefined;
      const model = await state.current();
      if (model === undefined || model.spamMessages < options.minSpam || model.hamMessages < options.minHam) return undefined;
      const readable = await readMessage(await firstBytes(bytes, options.maxBytes));
      const client = { helo: session.helo, address: session.clientAddress };
      const evidence = toEvidence(classify(model, tokensOf(readable, options.maxTokens, client)), options);
      return evidence === undefined ? undefined : { kind: 'evidence', evidence: [evidence] };
    },
  },
});

/** A private copy of the message's first bytes: text decoders refuse shared memory. */
async function firstBytes(bytes: MessageBytes, limit: number): Promise<Uint8Array<ArrayBuffer>> {
  if (bytes.whole !== undefined) return new Uint8Array(bytes.whole.subarray(0, limit));
  const copy = new Uint8Array(Math.min(limit, bytes.sizeBytes));
  let length = 0;
  for await (const chunk of bytes.chunks()) {
    const part = chunk.subarray(0, copy.length - length);
    copy.set(part, length);
    length += part.length;
    if (length === copy.length) break;
  }
  return copy.subarray(0, length);
}
