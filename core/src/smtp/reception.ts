/**
 * The reception of one message's bytes: from 354 to CRLF.CRLF, or chunk by chunk from the first BDAT to the last. Made
 * by `beginReception` for verbs/data and verbs/bdat, fed by the session, asked by smtp/acceptance what is wrong with the
 * message. A message that is to be refused is read to its real end all the same, since what follows would else be read
 * as commands; its bytes are given back at once.
 */
import type { Verdict } from '../hook/contract.ts';
import { ChunkStream } from '../wire/chunk-stream.ts';
import { DotStream } from '../wire/dot-stream.ts';
import { LineEndNormaliser } from '../wire/line-end-normaliser.ts';
import type { Reply } from '../wire/reply.ts';
import type { Conversation } from './conversation.ts';
import type { MessageWriter, SmtpLimits } from './ports.ts';
import {
  bareLineEnd550,
  headerTooLarge552,
  insufficientStorage452,
  messageTooLarge552,
  nulAtStart550,
  textLineTooLong500,
} from './replies.ts';
import type { Transaction } from './transaction.ts';
import { gatherEvidence } from './verdict.ts';

/** How the bytes come: up to a lone dot; counted, as text; counted, as anything. */
export type Framing = 'dot' | 'chunks' | 'binary-chunks';

export class Reception {
  readonly writer: MessageWriter;
  /** When the message was asked for, in monotonic milliseconds. */
  readonly sinceMs: number;
  /** The writer wants no more until `onDrain`. */
  blocked = false;
  readonly #limits: SmtpLimits;
  readonly #stream: DotStream | ChunkStream;
  /** Where bare line ends are mended in place of refused. */
  readonly #normaliser: LineEndNormaliser | undefined;
  #abandoned = false;

  constructor(
    writer: MessageWriter,
    limits: SmtpLimits,
    framing: Framing,
    bareLineEnds: 'refuse' | 'normalise',
    sinceMs: number,
  ) {
    this.writer = writer;
    this.sinceMs = sinceMs;
    this.#limits = limits;
    const write = (chunk: Uint8Array, from: number, to: number): void => this.#write(chunk, from, to);
    const normaliser = bareLineEnds === 'normalise' && framing !== 'binary-chunks' ? new LineEndNormaliser(write) : undefined;
    this.#normaliser = normaliser;
    const take =
      normaliser === undefined ? write : (chunk: Uint8Array, from: number, to: number): void => normaliser.take(chunk, from, to);
    this.#stream = framing === 'dot' ? new DotStream(take) : new ChunkStream(take, framing === 'binary-chunks');
  }

  get ended(): boolean {
    return this.#stream.ended;
  }

  get sizeBytes(): number {
    return this.#stream.sizeBytes;
  }

  /** Takes `chunk[from, to)`. @returns offset of the first byte that is not the message's. */
  take(chunk: Uint8Array, from: number, to: number): number {
    return this.#stream.take(chunk, from, to);
  }

  /** Would so many octets more still be a message of allowed size? */
  hasRoomFor(octets: number): boolean {
    return this.#stream.sizeBytes + octets <= this.#limits.maxMessageBytes;
  }

  /** The last chunk is whole: only for messages that come in chunks. */
  finish(): void {
    if (this.#stream instanceof ChunkStream) this.#stream.finish();
    this.#normaliser?.finish();
  }

  /** The reply to a message that cannot be taken as far as it is here; undefined when it can. */
  refusal(): Reply | undefined {
    const { sizeBytes, headerBytes, longestLineBytes, nulAtStart } = this.#normaliser ?? this.#stream;
    if (this.#hasBareLineEnd) return bareLineEnd550;
    if (nulAtStart) return nulAtStart550;
    if (sizeBytes > this.#limits.maxMessageBytes) return messageTooLarge552;
    if ((headerBytes ?? sizeBytes) > this.#limits.maxHeaderBytes) return headerTooLarge552;
    if (longestLineBytes > this.#limits.maxTextLineBytes) return textLineTooLong500;
    return this.writer.failure === undefined ? undefined : insufficientStorage452;
  }

  get #hasBareLineEnd(): boolean {
    return this.#normaliser === undefined && this.#stream.bareLineEnd;
  }

  #write(chunk: Uint8Array, from: number, to: number): void {
    if (this.#abandoned) return;
    if (this.#hasBareLineEnd || (this.#normaliser ?? this.#stream).sizeBytes > this.#limits.maxMessageBytes) {
      this.#abandoned = true;
      this.blocked = false;
      this.writer.drop();
    } else if (!this.writer.write(chunk, from, to)) {
      this.blocked = true;
    }
  }
}

/**
 * The stage `data` lets the message come: asks for room, and keeps what the stage found out.
 * @returns the reception, which the transaction owns, or the reply when there is no room.
 */
export function beginReception(
  conversation: Conversation,
  transaction: Transaction,
  verdict: Verdict,
  framing: Framing,
): Reception | Reply {
  const writer = conversation.ports.sink.begin(transaction.parameters.sizeBytes);
  if (writer === undefined) {
    conversation.logRefusal('data', insufficientStorage452, { reversePath: transaction.reversePath });
    return insufficientStorage452;
  }
  gatherEvidence(transaction.evidence, verdict.evidence);
  if (verdict.kind === 'quarantine') transaction.quarantine ??= verdict.text ?? 'quarantined by policy';
  transaction.collect(writer);
  const { limits, bareLineEnds } = conversation.profile;
  return new Reception(writer, limits, framing, bareLineEnds, conversation.ports.clock.monotonic());
}
