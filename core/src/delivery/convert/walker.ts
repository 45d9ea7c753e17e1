/**
 * Walks the structure of a MIME message as its bytes come by, and hands on every one of them as what it is (RFC 2046 §5.1).
 * Used by convert/convert, twice for a message. Pure; memory is bounded by the header of one entity.
 * A line is a delimiter only where it is one whole: a boundary that begins with another is not mistaken for it. Outer
 * boundaries count inside of inner parts, so that a part without its end does not swallow what follows.
 */
import { type Entity, type EntityContext, readEntity } from './entity.ts';

/** All bytes of the message come by in order. Buffers are only lent. */
export interface Visitor {
  /** An entity begins: the lines of its header, in `entity.header`. */
  enter(entity: Entity): void;
  /** The empty line behind a header. */
  blank(bytes: Uint8Array): void;
  /** Content of the entity, which is no multipart and no message. The line end before a delimiter is not of it. */
  content(bytes: Uint8Array): void;
  /** The content ended; `atEnd`: with the message, and not at a delimiter. Only for entities that have `content`. */
  leave(atEnd: boolean): void;
  /** What stands before the first part of a multipart, or behind the last. */
  filler(bytes: Uint8Array): void;
  /** What comes from here on is read in different ways by different readers. */
  doubtful(): void;
  /** A multipart ended that has no parts: readers show its filler as text. */
  partless(): void;
  /** A delimiter with the line ends around it. */
  delimiter(bytes: Uint8Array): void;
}

interface Level {
  readonly boundary: Buffer;
  readonly isDigest: boolean;
  closed: boolean;
  hasParts: boolean;
}

/** What a line is a delimiter of. */
interface Delimited {
  /** -1: of nothing any more. */
  readonly index: number;
  readonly closes: boolean;
  /** It looks like one of a multipart that has ended. */
  readonly isPassed: boolean;
}

/** Of the header of one entity. */
const MAX_HEADER_BYTES = 256 * 1024;
const MAX_DEPTH = 100;
const MAX_ENTITIES = 10_000;
/** A line that is longer is no delimiter: boundary and blanks behind it. */
const MAX_DELIMITER = 1000;
const DASH = 45;
const CRLF = Buffer.from('\r\n');
const DELIMITER_START = Buffer.from('\r\n--');

export const TOO_COMPLEX = '554 5.6.3 message has too many parts, or too large headers of parts, to be converted';

export class Walker {
  readonly #visitor: Visitor;
  readonly #opensSealed: boolean;
  readonly #levels: Level[] = [];
  /** All their boundaries: a line is looked up in one step, however many levels there are. */
  #boundaries = new Set<string>();
  #state: 'header' | 'content' | 'filler' = 'header';
  /** What the next header is of. */
  #next: Pick<EntityContext, 'isMessage' | 'inDigest'> = { isMessage: true, inDigest: false };
  #header: Buffer[] = [];
  #headerBytes = 0;
  #entities = 0;
  #rest: Buffer = Buffer.alloc(0);
  /** The next byte begins a line, and the line end before it is gone already. */
  #atLineStart = false;
  #finalBreak: Buffer | undefined;
  /** The visitor was told of doubt. */
  #isDoubted = false;
  #problem: string | undefined;

  constructor(visitor: Visitor, opensSealed: boolean) {
    this.#visitor = visitor;
    this.#opensSealed = opensSealed;
  }

  /** Why the message cannot be walked any further, as a reply. */
  get problem(): string | undefined {
    return this.#problem;
  }

  push(chunk: Uint8Array): void {
    this.#take(
      this.#rest.length === 0 ? Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length) : Buffer.concat([this.#rest, chunk]),
      false,
    );
  }

  end(): void {
    this.#take(this.#rest, true);
    if (this.#problem !== undefined) return;
    if (this.#state === 'header') this.#enter();
    if (this.#state === 'content') {
      this.#visitor.leave(this.#finalBreak === undefined);
      if (this.#finalBreak !== undefined) this.#visitor.delimiter(this.#finalBreak);
    }
    this.#dropLevels(0);
  }

  #dropLevels(length: number): void {
    const dropped = this.#levels.splice(length);
    if (dropped.length > 0) this.#boundaries = new Set(this.#levels.map(({ boundary }) => boundary.toString('latin1')));
    for (const { hasParts, closed } of dropped) if (!hasParts && !closed) this.#visitor.partless();
  }

  #take(bytes: Buffer, final: boolean): void {
    let at = 0;
    while (this.#problem === undefined && at < bytes.length) {
      const next = this.#state === 'header' ? this.#takeHeader(bytes, at, final) : this.#takeBody(bytes, at, final);
      if (next === at) break;
      at = next;
    }
    // A copy: the chunk was only lent.
    this.#rest = at === bytes.length ? Buffer.alloc(0) : Buffer.from(bytes.subarray(at));
  }

  /** @returns where to go on; `at` when more bytes are needed */
  #takeHeader(bytes: Buffer, at: number, final: boolean): number {
    const found = bytes.indexOf(CRLF, at);
    const lineEnd = found < 0 ? bytes.length : found;
    if (this.#headerBytes + lineEnd - at > MAX_HEADER_BYTES) return this.#giveUp(at);
    if (found < 0 && !final) return at;
    const end = found < 0 ? bytes.length : found + 2;
    if (lineEnd === at) {
      this.#enter();
      this.#visitor.blank(bytes.subarray(at, end));
      this.#atLineStart = true;
      return end;
    }
    const level = this.#levelOf(bytes, at, lineEnd);
    if (level?.isPassed === true) this.#doubt();
    if (level !== undefined && level.index >= 0) {
      // Two delimiters with nothing between them, not even a line end for the second: one for some, two for others.
      if (this.#headerBytes === 0) this.#doubt();
      this.#enter();
      return this.#takeDelimiter(bytes, at, end, level);
    }
    this.#header.push(Buffer.from(bytes.subarray(at, end)));
    this.#headerBytes += end - at;
    return end;
  }

  /** The header is whole: the entity begins, and what its content is decides how to go on. */
  #enter(): void {
    const context = { ...this.#next, opensSealed: this.#opensSealed };
    const entity = readEntity(Buffer.concat(this.#header), context);
    this.#header = [];
    this.#headerBytes = 0;
    this.#visitor.enter(entity);
    if (++this.#entities > MAX_ENTITIES) return void this.#giveUp(0);
    if (entity.kind === 'message') {
      this.#next = { isMessage: true, inDigest: false };
    } else if (entity.boundary !== undefined) {
      if (this.#levels.some(({ boundary }) => boundary.equals(entity.boundary!))) this.#doubt();
      this.#levels.push({ boundary: entity.boundary, isDigest: entity.isDigest, closed: false, hasParts: false });
      this.#boundaries.add(entity.boundary.toString('latin1'));
      this.#state = 'filler';
      if (this.#levels.length > MAX_DEPTH) this.#giveUp(0);
    } else this.#state = 'content';
  }

  /** Content or filler up to the next delimiter in one piece, however many lines look like one. */
  #takeBody(bytes: Buffer, at: number, final: boolean): number {
    let told = at;
    let from = at;
    let line = -1;
    if (this.#atLineStart) {
      if (bytes.length - at < 2 && !final) return at;
      if (bytes[at] === DASH && bytes[at + 1] === DASH) line = at;
    }
    for (let search = at; ; search = line + 2, line = -1) {
      if (line < 0) {
        this.#atLineStart = false;
        from = this.#levels.length === 0 ? -1 : bytes.indexOf(DELIMITER_START, search);
        if (from < 0) return this.#takeRest(bytes, told, final);
        line = from + 2;
      }
      const found = bytes.indexOf(CRLF, line);
      if (found < 0 && !final && bytes.length - line <= MAX_DELIMITER) {
        this.#emit(bytes.subarray(told, from));
        return from;
      }
      const lineEnd = found < 0 ? bytes.length : found;
      const level = lineEnd - line > MAX_DELIMITER ? undefined : this.#levelOf(bytes, line, lineEnd);
      if (level === undefined || (level.index < 0 && this.#isDoubted)) continue;
      // What came before it is read in one way by everybody.
      this.#emit(bytes.subarray(told, from));
      told = from;
      if (level.isPassed) this.#doubt();
      if (level.index >= 0) return this.#takeDelimiter(bytes, from, found < 0 ? lineEnd : found + 2, level);
    }
  }

  /** No delimiter is left in these bytes, but for one that may begin at their end. */
  #takeRest(bytes: Buffer, at: number, final: boolean): number {
    const end = final || this.#levels.length === 0 ? bytes.length : bytes.length - tailOf(bytes, at);
    // The last line end of a part is the delimiter's, also where that is missing.
    const hasBreak =
      final && this.#state === 'content' && this.#levels.length > 0 && bytes.subarray(at).subarray(-2).equals(CRLF);
    if (hasBreak) this.#finalBreak = CRLF;
    this.#emit(bytes.subarray(at, hasBreak ? end - 2 : end));
    return end;
  }

  #doubt(): void {
    this.#isDoubted = true;
    this.#visitor.doubtful();
  }

  #emit(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    if (this.#state === 'filler') this.#visitor.filler(bytes);
    else this.#visitor.content(bytes);
  }

  /** The innermost multipart that the line is a delimiter of; undefined when it looks like none. */
  #levelOf(bytes: Buffer, line: number, lineEnd: number): Delimited | undefined {
    if (bytes[line] !== DASH || bytes[line + 1] !== DASH) return undefined;
    let end = lineEnd;
    while (end > line + 2 && (bytes[end - 1] === 32 || bytes[end - 1] === 9)) end--;
    const text = bytes.toString('latin1', line + 2, end);
    if (!this.#boundaries.has(text) && !(text.endsWith('--') && this.#boundaries.has(text.slice(0, -2)))) return undefined;
    let isPassed = false;
    for (let index = this.#levels.length - 1; index >= 0; index--) {
      const { boundary, closed } = this.#levels[index]!;
      const length = end - line - 2;
      const closes = length === boundary.length + 2 && bytes[end - 1] === DASH && bytes[end - 2] === DASH;
      if ((closes || length === boundary.length) && boundary.equals(bytes.subarray(line + 2, line + 2 + boundary.length))) {
        // Behind its end it is no delimiter any more; not everybody knows.
        if (!closed) return { index, closes, isPassed };
        isPassed = true;
      }
    }
    return isPassed ? { index: -1, closes: false, isPassed } : undefined;
  }

  /** @param from of the line end before it, or of the line where that is gone. @param end behind its own */
  #takeDelimiter(bytes: Buffer, from: number, end: number, { index, closes }: Delimited): number {
    if (this.#state === 'content') this.#visitor.leave(false);
    this.#dropLevels(index + 1);
    const level = this.#levels[index]!;
    if (closes && !level.hasParts) this.#visitor.partless();
    this.#visitor.delimiter(bytes.subarray(from, end));
    level.closed = closes;
    level.hasParts = true;
    this.#state = closes ? 'filler' : 'header';
    this.#next = { isMessage: false, inDigest: level.isDigest };
    this.#atLineStart = closes;
    return end;
  }

  #giveUp(at: number): number {
    this.#problem = TOO_COMPLEX;
    return at;
  }
}

/** How many bytes at the end could begin `\r\n--`. */
function tailOf(bytes: Buffer, at: number): number {
  const most = Math.min(3, bytes.length - at);
  for (let length = most; length > 0; length--) {
    if (DELIMITER_START.subarray(0, length).equals(bytes.subarray(bytes.length - length))) return length;
  }
  return 0;
}
