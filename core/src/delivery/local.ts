/**
 * Local delivery: a message into the mailbox of one user, with the header lines that only the last server may write
 * (RFC 5321 §4.4: Return-Path). Called by delivery/loop for each mailbox of a message, some
 * at a time. Binary mail is put into lines first (convert/for-mailbox).
 * A failure of the mailbox becomes a result, temporary unless the mailbox says otherwise; nothing is thrown.
 */
import type { Envelope } from '../mail/envelope.ts';
import { type LocalMailbox, MailboxError } from '../maildrop/mailbox.ts';
import type { Log } from '../observe/log.ts';
import { type ForMailbox, forMailbox } from './convert/for-mailbox.ts';
import { insertRanked, type Ranked } from './rank.ts';
import { IN_MAILBOX, type Result, statusOf } from './reply.ts';

export interface LocalPorts {
  readonly mailbox: LocalMailbox;
  readonly log: Log;
}

/** Names in a header line are one line of printable text (RFC 6532 §3.1), whatever the envelope holds; in a reply, ASCII. */
const inHeader = (text: string): string => text.replace(/[\0-\x1f\x7f-\x9f]/g, '?');
const inReply = (text: string): string => text.replace(/[^\x20-\x7e]/g, '?');

/**
 * Delivers to one mailbox.
 * @param recipient address for Delivered-To
 * @param body reads the message as stored from its beginning, each time
 */
export async function deliverLocally(
  ports: LocalPorts,
  envelope: Envelope,
  mailbox: string,
  recipient: string,
  body: () => AsyncIterable<Uint8Array>,
): Promise<Result> {
  const head = Buffer.from(
    `Return-Path: <${inHeader(envelope.reversePath)}>\r\nDelivered-To: ${inHeader(recipient)}\r\n`,
    'utf8',
  );
  try {
    const fit =
      envelope.body === 'binarymime'
        ? await forMailbox(body)
        : ({ body: body(), sizeBytes: envelope.sizeBytes, broken: undefined } satisfies ForMailbox);
    if (typeof fit === 'string') {
      ports.log.warn('delivery.mailbox', { message: envelope.id, mailbox, permanent: true, reason: fit });
      return { outcome: 'failed', reply: `554 ${statusOf(fit)} message is binary and has no form in lines for the mailbox` };
    }
    await ports.mailbox.deliver(mailbox, envelope.id, head, fit.body, {
      folder: envelope.quarantine === undefined ? 'inbox' : 'quarantine',
      // Who writes to postmaster is heard, whatever the mailbox holds (RFC 5321 §4.5.1).
      ...(/^postmaster@/i.test(recipient) ? {} : { sizeBytes: fit.sizeBytes }),
    });
    if (fit.broken !== undefined) {
      ports.log.warn('delivery.signed-converted', { message: envelope.id, mailbox, reason: fit.broken });
    }
    return { outcome: 'delivered', reply: '250 2.0.0 delivered to the mailbox', handover: IN_MAILBOX };
  } catch (error) {
    if (error instanceof MailboxError) {
      const { permanent, enhanced, message: reason, cause } = error;
      const why = cause instanceof Error ? { cause: cause.message } : {};
      ports.log.warn('delivery.mailbox', { message: envelope.id, mailbox, permanent, reason, ...why });
      return permanent
        ? { outcome: 'failed', reply: `550 ${enhanced} ${inReply(error.message)}` }
        : { outcome: 'deferred', reply: `451 ${enhanced} ${inReply(error.message)}` };
    }
    ports.log.error('delivery.mailbox', { message: envelope.id, mailbox, reason: String(error) });
    return { outcome: 'deferred', reply: '451 4.3.0 the mailbox cannot be written now' };
  }
}

/** One message for one mailbox. */
export interface LocalJob extends Ranked {
  readonly envelope: Envelope;
  readonly mailbox: string;
  readonly recipient: string;
  body(): AsyncIterable<Uint8Array>;
  /** Called once; undefined when it was not tried. */
  done(result: Result | undefined): void;
}

export interface LocalLane {
  submit(job: LocalJob): void;
  /** After the limit has changed. */
  pump(): void;
  /** Gives back what waits of a message. */
  takeBack(id: string): void;
  /** Gives back what was not begun, now and from now on. */
  drain(): void;
}

/**
 * Deliveries into mailboxes, by rank, so many at once.
 * @param limit asked each time one could begin
 */
export function createLocalLane(ports: LocalPorts, limit: () => number): LocalLane {
  const waiting: LocalJob[] = [];
  let running = 0;
  let draining = false;

  async function run({ envelope, mailbox, recipient, body, done }: LocalJob): Promise<void> {
    const result = await deliverLocally(ports, envelope, mailbox, recipient, body);
    running--;
    done(result);
    pump();
  }

  function pump(): void {
    while (running < limit()) {
      const next = waiting.shift();
      if (next === undefined) return;
      running++;
      void run(next);
    }
  }

  return {
    submit(job) {
      if (draining) return job.done(undefined);
      insertRanked(waiting, job);
      pump();
    },
    pump,
    takeBack(id) {
      for (const job of waiting.filter(({ envelope }) => envelope.id === id)) {
        waiting.splice(waiting.indexOf(job), 1);
        job.done(undefined);
      }
    },
    drain() {
      draining = true;
      for (const job of waiting.splice(0)) job.done(undefined);
    },
  };
}
