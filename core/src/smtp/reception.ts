/**
 * The reception of one message's bytes: from 354 to CRLF.CRLF. Made by verbs/data, fed by the session, asked by
 * smtp/acceptance what is wrong with the message. A message that is to be refused is read to its real end all the
 * same, since what follows would else be read as commands; its bytes are given back at once.
 */
import { DotStream } from '../wire/dot-stream.ts';
import type { Reply } from '../wire/reply.ts';
import type { MessageWriter, SmtpLimits } from './ports.ts';
import { bareLineEnd550, headerTooLarge552, insufficientStorage452, messageTooLarge552, textLineTooLong500 } from './replies.ts';

export class Reception {
  readonly writer: MessageWriter;
  /** The writer wants no more until `onDrain`. */
  blocked = false;
  readonly #limits: SmtpLimits;
  readonly #stream: DotStream;
  #abandoned = false;

  constructor(writer: MessageWriter, limits: SmtpLimits) {
    this.writer = writer;
    this.#limits = limits;
    this.#stream = new DotStream((chunk, from, to) => this.#write(chunk, from, to));
  }

  get ended(): boolean {
    return this.#stream.ended;
  }

  /** Takes `chunk[from, to)`. @returns offset of the first byte that is not the message's. */
  take(chunk: Uint8Array, from: number, to: number): number {
    return this.#stream.take(chunk, from, to);
  }

  /** The reply to a message that cannot be taken, once it has ended; undefined when it can. */
  refusal(): Reply | undefined {
    const { bareLineEnd, sizeBytes, headerBytes, longestLineBytes } = this.#stream;
    if (bareLineEnd) return bareLineEnd550;
    if (sizeBytes > this.#limits.maxMessageBytes) return messageTooLarge552;
    if ((headerBytes ?? sizeBytes) > this.#limits.maxHeaderBytes) return headerTooLarge552;
    if (longestLineBytes > this.#limits.maxTextLineBytes) return textLineTooLong500;
    return this.writer.failure === undefined ? undefined : insufficientStorage452;
  }

  #write(chunk: Uint8Array, from: number, to: number): void {
    if (this.#abandoned) return;
    if (this.#stream.bareLineEnd || this.#stream.sizeBytes > this.#limits.maxMessageBytes) {
      this.#abandoned = true;
      this.blocked = false;
      this.writer.drop();
    } else if (!this.writer.write(chunk, from, to)) {
      this.blocked = true;
    }
  }
}
