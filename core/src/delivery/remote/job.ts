/**
 * One message for one next hop, ready to be sent: made by delivery/loop, worked off by remote/destination.
 * A small message is read into memory when a connection is about to take it, never earlier; a large one is streamed.
 */
import type { Ranked } from '../rank.ts';
import type { Result } from '../reply.ts';
import { WHOLE_BODY_BYTES } from './client.ts';
import type { SendableMessage } from './connection.ts';

export interface Job extends Ranked {
  readonly reversePath: string;
  readonly recipients: readonly string[];
  readonly sizeBytes: number;
  /** The client declared BODY=8BITMIME. */
  readonly eightBit: boolean;
  /** As in OutgoingMessage. */
  readonly binary: boolean;
  readonly smtpUtf8: boolean;
  readonly priority: number;
  readonly requireTls: boolean;
  body(): AsyncIterable<Uint8Array>;
  /**
   * Called once.
   * @param results one for each recipient; undefined when the message was not tried
   * @param peer who said so: `mx.example.org[192.0.2.1]:25`, or the key of the hop when nobody was reached
   */
  done(results: readonly Result[] | undefined, peer: string): void;
  /** Connections that broke before the peer said anything of the message. */
  tries: number;
}

export interface Prepared extends SendableMessage {
  readonly job: Job;
}

function hasEightBit(bytes: Uint8Array): boolean {
  for (let at = 0; at < bytes.length; at++) if (bytes[at]! > 127) return true;
  return false;
}

/** The bytes of a body of known size. */
async function readWhole(body: AsyncIterable<Uint8Array>, sizeBytes: number): Promise<Uint8Array> {
  const whole = Buffer.allocUnsafe(sizeBytes);
  let at = 0;
  for await (const chunk of body) {
    if (at + chunk.length > sizeBytes) throw new Error('longer than its envelope says');
    whole.set(chunk, at);
    at += chunk.length;
  }
  if (at !== sizeBytes) throw new Error('shorter than its envelope says');
  return whole;
}

/**
 * Gets a job ready for a connection.
 * @param peerTakesEightBit when not, the bytes are looked at: most mail declared as 8BITMIME has no 8-bit byte in it
 * @throws StoreError, or Error when the bytes do not match the envelope
 */
export async function prepare(job: Job, peerTakesEightBit: boolean): Promise<Prepared> {
  const { reversePath, recipients, sizeBytes, binary, smtpUtf8, priority, requireTls } = job;
  const content = sizeBytes <= WHOLE_BODY_BYTES ? await readWhole(job.body(), sizeBytes) : undefined;
  let { eightBit } = job;
  if (eightBit && !peerTakesEightBit) {
    eightBit = false;
    if (content !== undefined) eightBit = hasEightBit(content);
    else for await (const chunk of job.body()) if ((eightBit ||= hasEightBit(chunk))) break;
  }
  return {
    job,
    reversePath,
    recipients,
    sizeBytes,
    eightBit,
    binary,
    smtpUtf8,
    priority,
    requireTls,
    content,
    body: () => job.body(),
  };
}
