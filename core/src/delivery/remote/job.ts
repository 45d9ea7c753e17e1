/**
 * One message for one next hop, ready to be sent: made by delivery/loop, worked off by remote/destination.
 * A small message is read into memory when a connection is about to take it, never earlier; a large one is streamed.
 */
import { isAscii } from 'node:buffer';
import { isAscii as isAsciiText } from '../../wire/address.ts';
import { convert, headersAreAscii, once, type Plan, survey } from '../convert/convert.ts';
import type { Asked } from '../asked.ts';
import { noticing } from '../damage.ts';
import type { DueMessage } from '../ports.ts';
import type { Ranked } from '../rank.ts';
import type { Result } from '../reply.ts';
import type { Capabilities } from './capabilities.ts';
import { WHOLE_BODY_BYTES } from './client.ts';
import { splitByLimits } from './limits.ts';
import type { SendableMessage } from './connection.ts';

export interface Job extends Ranked {
  /** The message, as the queue handed it out. */
  readonly due: DueMessage;
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
  readonly asked: Asked | undefined;
  body(): AsyncIterable<Uint8Array>;
  /**
   * Called once.
   * @param results one for each recipient; undefined when the message was not tried
   * @param peer who said so: `mx.example.org[192.0.2.1]:25`, or the key of the hop when nobody was reached
   */
  done(results: readonly Result[] | undefined, peer: string): void;
  /** The job in several, for these indices of its recipients; it is over itself, and each of them ends on its own. */
  split(parts: readonly (readonly number[])[]): Job[];
  /** Connections that broke before the peer said anything of the message. */
  tries: number;
  /** What was found wrong with its bytes while they were read. */
  damage?: string | undefined;
}

export interface Prepared extends SendableMessage {
  readonly job: Job;
}

/**
 * How a host that is connected wants the recipients apart: by its limits, and so that one whose address it cannot take
 * costs the others nothing.
 * @returns the indices for each job; undefined when it may stay one
 */
export function partsFor({ recipients, reversePath, smtpUtf8 }: Job, peer: Capabilities): number[][] | undefined {
  if (smtpUtf8 && !peer.smtpUtf8 && isAsciiText(reversePath)) {
    const { plain = [], beyond = [] } = Object.groupBy(recipients.keys(), (index) =>
      isAsciiText(recipients[index]!) ? 'plain' : 'beyond',
    );
    if (plain.length > 0 && beyond.length > 0) return [plain, beyond];
  }
  return splitByLimits(recipients, peer.limits);
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
 * Gets a job ready for a connection. A message that its host takes as it is costs a glance at most; another one is
 * converted (delivery/convert), or gets the reply it deserves in `unfit`.
 * @param peer what the host offers that is connected to: another MX of the same domain may offer something else
 * @param convertsSealed signed and encrypted mail is converted like other
 * @throws StoreError, or Error when the bytes do not match the envelope
 */
export async function prepare(job: Job, peer: Capabilities, convertsSealed: boolean): Promise<Prepared> {
  const { reversePath, recipients, sizeBytes, eightBit, binary, smtpUtf8, priority, requireTls, asked } = job;
  const content = sizeBytes <= WHOLE_BODY_BYTES ? await readWhole(job.body(), sizeBytes) : undefined;
  const noted = (damage: string): void => void (job.damage = damage);
  const body = content === undefined ? () => noticing(job.body(), noted) : () => once(content);
  const asItIs = {
    job,
    reversePath,
    recipients,
    sizeBytes,
    eightBit,
    binary,
    smtpUtf8,
    priority,
    requireTls,
    asked,
    content,
    body,
  };
  if (smtpUtf8 && !peer.smtpUtf8) {
    // RFC 6531 §3.2 is about what has more than ASCII in it; many clients say SMTPUTF8 of all their mail.
    if (![reversePath, ...recipients].every(isAsciiText) || !(await headersAreAscii(body()))) return asItIs;
    return fitFor(peer, { ...asItIs, smtpUtf8: false }, convertsSealed);
  }
  return fitFor(peer, asItIs, convertsSealed);
}

async function fitFor(peer: Capabilities, message: Prepared, convertsSealed: boolean): Promise<Prepared> {
  const { binary, smtpUtf8, content } = message;
  if (binary === true && !peer.binaryMime) {
    return changed(message, await survey(message.body(), peer.eightBitMime ? '8bit' : '7bit', convertsSealed));
  }
  if (peer.eightBitMime) {
    // Not every client declares what is 8-bit, and what is large was not looked at.
    return message.eightBit || (content !== undefined && isAscii(content)) ? message : { ...message, eightBit: true };
  }
  if (binary === true || smtpUtf8 === true) return message;
  for await (const chunk of message.body()) {
    if (!isAscii(chunk)) return changed(message, await survey(message.body(), '7bit', convertsSealed));
  }
  return { ...message, eightBit: false };
}

/** The message in the form of the plan; a large one is converted as it is sent, and once before for its size. */
async function changed(message: Prepared, plan: Plan | string): Promise<Prepared> {
  if (typeof plan === 'string') return { ...message, unfit: plan };
  const body = (): AsyncIterable<Uint8Array> => convert(message.body(), plan);
  const chunks: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (const chunk of body()) {
    sizeBytes += chunk.length;
    if (message.content !== undefined) chunks.push(chunk);
  }
  const content = message.content === undefined ? undefined : Buffer.concat(chunks);
  return { ...message, sizeBytes, eightBit: plan.target === '8bit', binary: false, content, body };
}
