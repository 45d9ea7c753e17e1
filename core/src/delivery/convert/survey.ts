/**
 * The first walk over a message that a hop cannot take as it is: decides for each entity what becomes of it, or finds what
 * must not be changed. Used by convert/convert. Pure; keeps one word for each entity.
 */
import { isAscii } from 'node:buffer';
import type { Entity } from './entity.ts';
import { hasAsciiForm } from './header.ts';
import { Tally } from './tally.ts';
import type { Visitor } from './walker.ts';

/** What the hop takes: ASCII, or any octets in lines. */
export type Target = '7bit' | '8bit';
/** `keep` as it is; a label alone; another encoding; `mend` what has an encoding that is broken. */
export type Treatment = 'keep' | '7bit' | '8bit' | 'quoted-printable' | 'base64' | 'mend';

const HEADER = '554 5.6.3 header has 8-bit text in an unknown charset, and the mail host takes none';
const DAMAGED = '554 5.6.3 header of a part is malformed, so that its content cannot be converted for the mail host';

export class Survey implements Visitor {
  /** In the order of entities. */
  readonly treatments: Treatment[] = [];
  /** The reply that refuses the message. */
  refusal: string | undefined;
  readonly #target: Target;
  #entity: Entity | undefined;
  #tally = new Tally();
  /** Other readers may see no parts where we do: then all has to stay. */
  #isDoubtful = false;

  constructor(target: Target) {
    this.#target = target;
  }

  enter(entity: Entity): void {
    if (this.#target === '7bit' && !hasAsciiForm(entity)) this.refusal ??= HEADER;
    this.#entity = entity;
    this.#tally = new Tally();
    const { kind, label, isDamaged, isUnfit } = entity;
    if (isUnfit) this.refusal ??= DAMAGED;
    const isContainer = kind === 'multipart' || kind === 'message';
    this.#isDoubtful ||= isContainer && isDamaged;
    if (!isAscii(entity.header)) this.#changes();
    this.treatments.push(isContainer && this.#isMislabelled(label) && !isDamaged ? this.#target : 'keep');
  }

  content(bytes: Uint8Array): void {
    this.#tally.push(bytes);
  }

  leave(atEnd: boolean): void {
    this.#tally.end(atEnd);
    const entity = this.#entity!;
    const treatment = this.#treat(entity);
    if (treatment !== 'keep') this.#changes();
    this.treatments[this.treatments.length - 1] = treatment;
  }

  filler(bytes: Uint8Array): void {
    if (!isAscii(bytes)) this.#changes();
  }

  #changes(): void {
    if (this.#isDoubtful) this.refusal ??= DAMAGED;
  }

  #treat({ kind, label, isDamaged, encoding, isText, why }: Entity): Treatment {
    const { eightBit, isUnfit, isShorterQuoted } = this.#tally;
    if (!isUnfit && (eightBit === 0 || this.#target === '8bit')) {
      if (!this.#isMislabelled(label) || isDamaged) return 'keep';
      return eightBit > 0 ? '8bit' : '7bit';
    }
    if (kind === 'sealed' || isDamaged) {
      this.refusal ??= kind === 'sealed' ? why : DAMAGED;
      return 'keep';
    }
    if (encoding !== 'identity') return 'mend';
    return isText && isShorterQuoted ? 'quoted-printable' : 'base64';
  }

  #isMislabelled(label: string): boolean {
    return label === 'binary' || (label === '8bit' && this.#target === '7bit');
  }

  blank(): void {}
  delimiter(): void {}
}
