/**
 * The trainer's side of the model, in Level: counts of each token, and the digest and label of each learned message.
 * One process holds it at a time, for the length of a training; servers read the snapshot instead. A batch of messages
 * (their digests and all their counts) is one synced write: a killed training has learned whole batches or nothing.
 */
import { createHash } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { Level } from 'level';
import type { Counts } from './model.ts';
import type { TokenRow } from './snapshot.ts';
import { TOKENS_VERSION } from './tokens.ts';

export type Label = 'spam' | 'ham';

/** Another process trains (`locked`), or the model was made by another version (`version`). */
export class TrainingError extends Error {
  override readonly name = 'TrainingError';
  readonly code: 'locked' | 'version';
  constructor(code: TrainingError['code'], message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

interface Totals extends Counts {
  version: number;
}

const TOKEN_KEY_BYTES = 6;
const LOCK_RETRY_MS = 200;

export class TokenStore {
  readonly #db: Level<string, Buffer>;
  readonly #tokens;
  readonly #messages;
  readonly #totals: Totals;
  #pendingTokens = new Map<number, Counts>();
  #pendingMessages = new Map<string, Label>();

  private constructor(db: Level<string, Buffer>, totals: Totals) {
    this.#db = db;
    this.#tokens = tokensOf(db);
    this.#messages = messagesOf(db);
    this.#totals = totals;
  }

  /**
   * Opens the store, making it when there is none.
   * @param lockTimeoutMs how long to wait for another training to end.
   * @throws TrainingError, or Level's own error when the folder cannot be used.
   */
  static async open(directory: string, lockTimeoutMs: number): Promise<TokenStore> {
    await mkdir(directory, { recursive: true });
    const db = await openLocked(directory, lockTimeoutMs);
    try {
      const found: Buffer | undefined = await db.get('totals');
      const totals =
        found === undefined ? { spam: 0, ham: 0, version: TOKENS_VERSION } : (JSON.parse(found.toString()) as Totals);
      if (totals.version !== TOKENS_VERSION) {
        throw new TrainingError(
          'version',
          `the model in ${directory} was made with tokens of version ${totals.version}, this program makes version ` +
            `${TOKENS_VERSION}: move the folder away and train again`,
        );
      }
      return new TokenStore(db, totals);
    } catch (error) {
      await db.close();
      throw error;
    }
  }

  get spamMessages(): number {
    return this.#totals.spam;
  }
  get hamMessages(): number {
    return this.#totals.ham;
  }
  /** Tokens that wait for `flush`. */
  get pendingTokens(): number {
    return this.#pendingTokens.size;
  }

  /**
   * Learns a message; not durable before `flush`.
   * @param hashes its tokens, each once. They are the message's identity: what has the same ones is the same message.
   * @returns `known` when it was learned as this before, `corrected` when it was learned as the other before.
   */
  async learn(hashes: readonly number[], label: Label): Promise<'learned' | 'known' | 'corrected'> {
    const digest = digestOf(hashes);
    const before = this.#pendingMessages.get(digest) ?? ((await this.#messages.get(digest)) as Label | undefined);
    if (before === label) return 'known';
    this.#pendingMessages.set(digest, label);
    this.#totals[label]++;
    if (before !== undefined) this.#totals[before]--;
    for (const hash of hashes) {
      let counts = this.#pendingTokens.get(hash);
      if (counts === undefined) this.#pendingTokens.set(hash, (counts = { spam: 0, ham: 0 }));
      counts[label]++;
      if (before !== undefined) counts[before]--;
    }
    return before === undefined ? 'learned' : 'corrected';
  }

  /** Makes everything learned durable, in one synced batch. */
  async flush(): Promise<void> {
    if (this.#pendingMessages.size === 0) return;
    const changes = [...this.#pendingTokens].map(([hash, change]) => ({ key: keyOf(hash), change }));
    const stored: (Buffer | undefined)[] = await this.#tokens.getMany(changes.map(({ key }) => key));
    const batch = this.#db.batch();
    for (const [i, { key, change }] of changes.entries()) {
      const old = stored[i];
      const spam = Math.max(0, (old?.readUInt32LE(0) ?? 0) + change.spam);
      const ham = Math.max(0, (old?.readUInt32LE(4) ?? 0) + change.ham);
      if (spam + ham === 0) batch.del(key, { sublevel: this.#tokens });
      else batch.put(key, valueOf(spam, ham), { sublevel: this.#tokens });
    }
    for (const [digest, label] of this.#pendingMessages) batch.put(digest, label, { sublevel: this.#messages });
    batch.put('totals', Buffer.from(JSON.stringify(this.#totals)));
    await batch.write({ sync: true });
    this.#pendingTokens = new Map();
    this.#pendingMessages = new Map();
  }

  /**
   * All tokens in ascending order of their hashes; when there are more than `limit`, the rarest are left out.
   * @returns at most `limit` rows.
   */
  async rows(limit: number): Promise<TokenRow[]> {
    let rows: TokenRow[] = [];
    let rarest = 0;
    for await (const [key, value] of this.#tokens.iterator()) {
      const row = { hash: key.readUIntBE(0, TOKEN_KEY_BYTES), spam: value.readUInt32LE(0), ham: value.readUInt32LE(4) };
      if (row.spam + row.ham > rarest) rows.push(row);
      while (rows.length > limit) {
        rarest++;
        rows = rows.filter((one) => one.spam + one.ham > rarest);
      }
    }
    return rows;
  }

  close(): Promise<void> {
    return this.#db.close();
  }
}

function tokensOf(db: Level<string, Buffer>) {
  return db.sublevel<Buffer, Buffer>('tokens', { keyEncoding: 'buffer', valueEncoding: 'buffer' });
}
function messagesOf(db: Level<string, Buffer>) {
  return db.sublevel('messages', { valueEncoding: 'utf8' });
}

async function openLocked(directory: string, lockTimeoutMs: number): Promise<Level<string, Buffer>> {
  const until = performance.now() + lockTimeoutMs;
  for (;;) {
    const db = new Level<string, Buffer>(directory, { valueEncoding: 'buffer' });
    try {
      await db.open();
      return db;
    } catch (error) {
      const cause = error instanceof Error ? (error.cause as { code?: string } | undefined) : undefined;
      if (cause?.code !== 'LEVEL_LOCKED') throw error;
      if (performance.now() >= until) {
        throw new TrainingError('locked', `another process trains the model in ${directory}`, { cause: error });
      }
      await sleep(LOCK_RETRY_MS);
    }
  }
}

function digestOf(hashes: readonly number[]): string {
  const sorted = Float64Array.from(hashes).sort();
  return createHash('sha256').update(sorted).digest('base64url').slice(0, 24);
}

function keyOf(hash: number): Buffer {
  const key = Buffer.alloc(TOKEN_KEY_BYTES);
  key.writeUIntBE(hash, 0, TOKEN_KEY_BYTES);
  return key;
}

function valueOf(spam: number, ham: number): Buffer {
  const value = Buffer.alloc(8);
  value.writeUInt32LE(spam, 0);
  value.writeUInt32LE(ham, 4);
  return value;
}
