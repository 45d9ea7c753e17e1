/**
 * The first walk over a message that a hop cannot take as it is: decides for each entity what becomes of it, or finds what
 * must not be changed. Used by convert/convert. Pure; keeps one word for each entity.
 */
import { isAscii } from 'node:buffer';
import type { Entity } from './entity.ts';
import { headerRefusal } from './header.ts';
import { Tally } from './tally.ts';
import type { Visitor } from './walker.ts';

/** What the hop takes: ASCII, or any octets in lines. */
export type Target = '7bit' | '8bit';
/** `keep` as it is; a label alone; another encoding; `mend` what has an encoding that is broken; `status`: fields in ASCII. */
export type Treatment = 'keep' | '7bit' | '8bit' | 'quoted-printable' | 'base64' | 'mend' | 'status';

const BROKEN = '554 5.6.3 multipart without parts is not 7-bit, and the mail host takes none';
const FALSE_BASE64 = '554 5.6.3 content is no base64 though it says so, and the mail host takes no such octets';
const STATUS = '554 5.6.3 delivery status or the like is not in lines, and must not be encoded for the mail host';
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
    if (this.#target === '7bit') this.refusal ??= headerRefusal(entity);
    this.#entity = entity;
    this.#tally = new Tally();
    const { kind, label, isDamaged, isUnfit } = entity;
    if (isUnfit) this.refusal ??= DAMAGED;
    const isContainer = kind === 'multipart' || kind === 'message';
    this.#isDoubtful ||= isContainer && isDamaged;
    if (!isAscii(entity.header)) this.#changes();
    const isRelabelled = isContainer && this.#isMislabelled(label) && !isDamaged;
    if (isRelabelled) this.#changes();
    this.treatments.push(isRelabelled ? this.#target : 'keep');
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
    this.#tally.push(bytes);
    if (!isAscii(bytes)) this.#changes();
  }

  doubtful(): void {
    this.#isDoubtful = true;
  }

  partless(): void {
    this.#tally.end(false);
    const { eightBit, isUnfit } = this.#tally;
    if (isUnfit || (eightBit > 0 && this.#target === '7bit')) this.refusal ??= BROKEN;
  }

  #changes(): void {
    if (this.#isDoubtful) this.refusal ??= DAMAGED;
  }

  #treat({ kind, label, isDamaged, encoding, isText, isStatus, why }: Entity): Treatment {
    const { eightBit, odd, isUnfit, isShorterQuoted } = this.#tally;
    if (!isUnfit && (eightBit === 0 || this.#target === '8bit')) {
      if (!this.#isMislabelled(label) || isDamaged) return 'keep';
      return eightBit > 0 ? '8bit' : '7bit';
    }
    if (kind === 'sealed' || isDamaged) {
      this.refusal ??= kind === 'sealed' ? why : DAMAGED;
      return 'keep';
    }
    if (encoding === 'base64' && (eightBit > 0 || odd > 0)) {
      // Some readers skip what is no base64, others show the whole as it is.
      this.refusal ??= FALSE_BASE64;
      return 'keep';
    }
    if (encoding !== 'identity') return 'mend';
    if (isStatus) {
      if (isUnfit) this.refusal ??= STATUS;
      return 'status';
    }
    return isText && isShorterQuoted ? 'quoted-printable' : 'base64';
  }

  #isMislabelled(label: string): boolean {
    return label === 'binary' || (label === '8bit' && this.#target === '7bit');
  }

  blank(): void {}
  delimiter(): void {}
}
