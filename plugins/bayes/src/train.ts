/**
 * `posthorn train spam|ham PATH…`: learns messages and publishes the model that the servers load. Runs beside a running
 * server; a second training waits for the first. What was learned is remembered: twice is once, and learning a message
 * with the other label takes the first lesson back. A killed training keeps whole batches; the next one publishes them.
 */
import { join } from 'node:path';
import { hashToken } from './hash.ts';
import { readMessage } from './readable.ts';
import { encodeSnapshot, publishSnapshot } from './snapshot.ts';
import { messagesUnder } from './sources.ts';
import { TokenStore, type Label } from './store.ts';
import { tokensOf } from './tokens.ts';
import { DEFAULT_MAX_BYTES, DEFAULT_MAX_TOKENS } from './options.ts';

/** Name of the published model in the plugin's folder. */
export const MODEL_FILE = 'model.bin';
const STORE_FOLDER = 'training';
/** A batch ends at either: bounds the memory of a training. */
const BATCH_MESSAGES = 500;
const BATCH_TOKENS = 200_000;
const DEFAULT_MODEL_TOKENS = 1_000_000;

export interface TrainingProgress {
  /** Messages read so far. */
  readonly read: number;
  /** Newly learned. */
  readonly learned: number;
  /** Learned with the other label before. */
  readonly corrected: number;
  /** Learned with this label before. */
  readonly known: number;
  /** Had no token: empty files. */
  readonly empty: number;
}
export interface TrainingResult extends TrainingProgress {
  /** Messages in the model now. */
  readonly spamMessages: number;
  readonly hamMessages: number;
  /** Tokens in the published model. */
  readonly tokens: number;
}

export interface TrainingOrder {
  /** The plugin's data folder, as the server gives it in `context.dataDirectory`. */
  readonly directory: string;
  readonly label: Label;
  /** Message files, mbox files, Maildirs, or folders of them. None: only publishes again. */
  readonly paths: readonly string[];
  readonly onProgress?: (progress: TrainingProgress) => void;
  /** How long to wait for another training. Default 30,000. */
  readonly lockTimeoutMs?: number;
  /** Most tokens in the published model (12 bytes each in each thread); the rarest are left out. Default 1,000,000. */
  readonly maxModelTokens?: number;
}

/**
 * Learns all messages under the paths and publishes the model.
 * @throws TrainingError when another process trains or the model is of another version; the system's errors for paths and
 *   disk. What was learned before the error is kept, and published by the next training.
 */
export async function train(order: TrainingOrder): Promise<TrainingResult> {
  const store = await TokenStore.open(join(order.directory, STORE_FOLDER), order.lockTimeoutMs ?? 30_000);
  try {
    const progress = { read: 0, learned: 0, corrected: 0, known: 0, empty: 0 };
    for (const path of order.paths) {
      for await (const { bytes } of messagesUnder(path, DEFAULT_MAX_BYTES)) {
        const tokens = tokensOf(await readMessage(bytes), DEFAULT_MAX_TOKENS);
        progress.read++;
        if (tokens.size === 0) progress.empty++;
        else progress[await store.learn(Array.from(tokens, hashToken), order.label)]++;
        if (progress.read % BATCH_MESSAGES === 0 || store.pendingTokens >= BATCH_TOKENS) {
          await store.flush();
          order.onProgress?.({ ...progress });
        }
      }
    }
    await store.flush();
    const rows = await store.rows(order.maxModelTokens ?? DEFAULT_MODEL_TOKENS);
    await publishSnapshot(join(order.directory, MODEL_FILE), encodeSnapshot(rows, store.spamMessages, store.hamMessages));
    order.onProgress?.({ ...progress });
    return { ...progress, spamMessages: store.spamMessages, hamMessages: store.hamMessages, tokens: rows.length };
  } finally {
    await store.close();
  }
}
