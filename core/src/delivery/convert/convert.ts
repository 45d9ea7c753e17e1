/**
 * Converts a message for a hop that does not take it as it is: 8-bit content for one without 8BITMIME (RFC 6152 §3), binary
 * content for one without BINARYMIME (RFC 3030 §3). Called by remote/job. Pure, with bounded memory: two walks over the
 * bytes, `survey` to decide and `convert` to do it.
 * Leaves get quoted-printable or base64, multiparts and attached messages a label that is true; a message in which something
 * must not be altered is refused as a whole. Decoded, each part is what it was; signatures over the message (DKIM) break.
 */
import { isAscii } from 'node:buffer';
import { Base64 } from './base64.ts';
import type { Entity } from './entity.ts';
import { rewriteHeader } from './header.ts';
import { Mender } from './mender.ts';
import { QuotedPrintable } from './quoted-printable.ts';
import { StatusLines } from './status-lines.ts';
import { Survey, type Target, type Treatment } from './survey.ts';
import { type Visitor, Walker } from './walker.ts';

export type { Target } from './survey.ts';

/** What becomes of each entity of one message. */
export interface Plan {
  readonly target: Target;
  readonly opensSealed: boolean;
  readonly treatments: readonly Treatment[];
}

/**
 * Decides how to convert a message.
 * @param opensSealed signed and encrypted parts are converted like others
 * @returns the plan for `convert`, or the permanent reply (RFC 3463 X.6.2 prohibited, X.6.3 not supported) that refuses it
 * @throws what `body` throws
 */
export async function survey(body: AsyncIterable<Uint8Array>, target: Target, opensSealed: boolean): Promise<Plan | string> {
  const found = new Survey(target);
  const walker = new Walker(found, opensSealed);
  for await (const chunk of body) {
    walker.push(chunk);
    if (walker.problem !== undefined || found.refusal !== undefined) break;
  }
  walker.end();
  return walker.problem ?? found.refusal ?? { target, opensSealed, treatments: found.treatments };
}

/**
 * The message in its new form: lines of at most 998 octets with CRLF, of ASCII where the target is 7bit; what is sealed stays.
 * @param body the bytes that were surveyed
 */
export async function* convert(body: AsyncIterable<Uint8Array>, plan: Plan): AsyncGenerator<Uint8Array> {
  const converter = new Converter(plan);
  const walker = new Walker(converter, plan.opensSealed);
  for await (const chunk of body) {
    walker.push(chunk);
    const bytes = converter.take();
    if (bytes.length > 0) yield bytes;
  }
  walker.end();
  converter.end();
  yield converter.take();
}

/** Whether every header in the message is ASCII, those of its parts too: then it is no internationalised one (RFC 6532). */
export async function headersAreAscii(body: AsyncIterable<Uint8Array>): Promise<boolean> {
  let areAscii = true;
  const ignore = (): void => undefined;
  const enter = ({ header }: Entity): void => void (areAscii &&= isAscii(header));
  const walker = new Walker(
    {
      enter,
      blank: ignore,
      content: ignore,
      leave: ignore,
      filler: ignore,
      doubtful: ignore,
      partless: ignore,
      delimiter: ignore,
    },
    true,
  );
  for await (const chunk of body) {
    walker.push(chunk);
    if (!areAscii || walker.problem !== undefined) return false;
  }
  walker.end();
  return areAscii && walker.problem === undefined;
}

/** What is in one piece, as it is walked over. */
export async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

/** Changes bytes on their way; `end` says whether the message ends with them. */
interface Change {
  push(bytes: Uint8Array): Uint8Array;
  end(atEnd: boolean): Uint8Array;
}

class Converter implements Visitor {
  readonly #plan: Plan;
  readonly #changesSome: boolean;
  #out: Uint8Array[] = [];
  #index = -1;
  #content: Change | undefined;
  #filler: Mender | undefined;

  constructor(plan: Plan) {
    this.#plan = plan;
    this.#changesSome = plan.treatments.some((one) => one !== 'keep');
  }

  /** What was made since the last call, in one piece of its own. */
  take(): Uint8Array {
    const bytes = Buffer.concat(this.#out);
    this.#out = [];
    return bytes;
  }

  enter(entity: Entity): void {
    const treatment = this.#plan.treatments[++this.#index] ?? 'keep';
    const label = treatment === 'keep' || treatment === 'mend' ? undefined : treatment === 'status' ? '7bit' : treatment;
    const needsVersion = entity.isMessage && (label !== undefined || (this.#index === 0 && this.#changesSome));
    this.#content = this.#changeFor(treatment, entity);
    this.#out.push(rewriteHeader(entity, label, needsVersion, this.#plan.target === '7bit'));
  }

  blank(bytes: Uint8Array): void {
    this.#out.push(bytes);
  }

  content(bytes: Uint8Array): void {
    this.#out.push(this.#content?.push(bytes) ?? bytes);
  }

  leave(atEnd: boolean): void {
    if (this.#content !== undefined) this.#out.push(this.#content.end(atEnd));
    this.#content = undefined;
  }

  filler(bytes: Uint8Array): void {
    this.#filler ??= new Mender('mark', this.#plan.target === '8bit');
    this.#out.push(this.#filler.push(bytes));
  }

  doubtful(): void {}
  partless(): void {}

  delimiter(bytes: Uint8Array): void {
    this.end();
    this.#out.push(bytes);
  }

  /** The message ends, or a filler does. */
  end(): void {
    if (this.#filler !== undefined) this.#out.push(this.#filler.end());
    this.#filler = undefined;
  }

  #changeFor(treatment: Treatment, { encoding }: Entity): Change | undefined {
    if (treatment === 'quoted-printable') return new QuotedPrintable();
    if (treatment === 'base64') return new Base64();
    if (treatment === 'status') return new StatusLines();
    if (treatment !== 'mend') return undefined;
    return new Mender(encoding === 'base64' ? 'break' : 'escape', this.#plan.target === '8bit');
  }
}
