/**
 * Where log lines go: standard output, by pino's own writer. It may be a file on a full disk, or a pipe whose reader is slow
 * or gone: mail goes on without its log. Lines are kept then, up to a bound, and what is lost past it is counted. Used by
 * log.ts alone.
 */
import { destination } from 'pino';

const KEPT_BYTES = 1024 * 1024;
/** The writer waits 100 ms each time. */
const MAX_WAITS_AT_THE_END = 10;

export interface LogOutput {
  readonly stream: ReturnType<typeof destination>;
  /** Writes what is gathered, if it can be written now. Never throws. */
  flush(): void;
  /** The same before the end: a reader that is slow has a second. */
  flushAtLast(): void;
  /** Lines lost since it was asked last; 0 while nothing can be written. */
  takeLost(): number;
}

/** @param gatherBytes what is gathered before it is written without a flush; 0: nothing. */
export function openLogOutput(gatherBytes: number): LogOutput {
  let lost = 0;
  let waitsLeft = 0;
  let isFailing = false;
  let writtenBytes = 0;
  const stream = destination({
    fd: 1,
    minLength: gatherBytes,
    maxLength: KEPT_BYTES,
    sync: true,
    // Its own flushSync would try for ever, with the thread: nobody would be answered.
    retryEAGAIN: () => waitsLeft-- > 0,
  });
  stream.on('write', (bytes: number) => {
    writtenBytes += bytes;
    isFailing = false;
  });
  stream.on('drop', () => lost++);
  // There is nowhere to tell it; the next write tries again.
  stream.on('error', () => (isFailing = true));
  const flush = () => {
    do {
      writtenBytes = 0;
      stream.flush();
    } while (writtenBytes > 0);
  };
  return {
    stream,
    flush,
    flushAtLast() {
      waitsLeft = MAX_WAITS_AT_THE_END;
      flush();
      waitsLeft = 0;
    },
    takeLost() {
      const lines = isFailing ? 0 : lost;
      lost -= lines;
      return lines;
    },
  };
}
