/** Messages for tests of the queue and its stores: small to make, easy to compare. */
import { cpSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Envelope } from '@posthorn/core/mail/envelope';
import type { NewMessage, QueueStore } from '@posthorn/core/queue/store';

/** An envelope with so many recipients. */
export function envelopeOf(id: string, recipients = 1, receivedAtMs = 1_700_000_000_000): Envelope {
  return {
    id,
    receivedAtMs,
    reversePath: 'alice@example.org',
    recipients: Array.from({ length: recipients }, (_, index) => ({ address: `bøb${index}@example.net` })),
    origin: { listener: 'mx', clientAddress: '192.0.2.1', clientPort: 4711, helo: 'there', protocol: 'ESMTP', sessionId: 's1' },
    sizeBytes: 0,
    body: '8bitmime',
  };
}

/** A message with this body, in pieces. */
export function messageOf(id: string, pieces: readonly Uint8Array[] | string, recipients = 1): NewMessage {
  return {
    id,
    envelope: Buffer.from(JSON.stringify(envelopeOf(id, recipients))),
    pieces: typeof pieces === 'string' ? [Buffer.from(pieces)] : pieces,
  };
}

/** The whole body of a stored message. */
export async function bodyOf(store: Pick<QueueStore, 'body'>, id: string): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of store.body(id)) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks);
}

/** Ids of all messages, and where damage is, as `list` gives them. */
export async function listOf(store: Pick<QueueStore, 'list'>): Promise<{ ids: string[]; damaged: string[] }> {
  const ids: string[] = [];
  const damaged: string[] = [];
  for await (const one of store.list()) {
    if (one.kind === 'message') ids.push(one.id);
    else damaged.push(`${one.where}: ${one.reason}`);
  }
  return { ids, damaged };
}

/** Names and lengths of all files under a folder. */
function look(directory: string): string {
  const names = readdirSync(directory, { recursive: true, encoding: 'utf8' }).sort();
  return names.map((name) => `${name} ${statSync(join(directory, name)).size}`).join('\n');
}

/**
 * Copies the folder of an open shard as it lies on disk, which is what a crash leaves. Level tidies its files up in a
 * thread of its own: a copy during which something changed is made again.
 */
export function copyShard(from: string, to: string): void {
  for (let tries = 0; ; tries++) {
    try {
      const before = look(from);
      cpSync(from, to, { recursive: true });
      if (look(from) === before && look(to) === before) return;
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== 'ENOENT' || tries > 100) throw cause;
    }
    rmSync(to, { recursive: true, force: true });
  }
}
