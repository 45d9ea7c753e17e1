/**
 * Writes notices and puts them into the queue: they are mail like other mail, from nobody (RFC 3461 §6.1), and nobody is
 * told of them. Called by delivery/settle, which waits until they are on disk before the queue forgets what they are about.
 */
import { isAscii } from 'node:buffer';
import type { Envelope, Recipient } from '../../mail/envelope.ts';
import { StoreError } from '../../queue/store.ts';
import type { Settles } from '../../queue/told.ts';
import { once, survey } from '../convert/convert.ts';
import type { DeliveryPorts } from '../ports.ts';
import { buildNotice } from './build.ts';
import type { NoticePolicy } from './events.ts';
import { MAX_HEADER_BYTES } from './returned.ts';
import type { Told } from './told.ts';

/** Whether a notice that brings the whole of it can be made fit for a host that takes ASCII only: else nobody would get it. */
async function goesAnywhere(message: Uint8Array, isInternational: boolean): Promise<boolean> {
  // That of an international message is sent with SMTPUTF8, or in base64.
  if (isInternational || isAscii(message)) return true;
  return typeof (await survey(once(message), '7bit', false)) !== 'string';
}

/** @returns the id of the notice; undefined when there is nobody to tell. @throws StoreError when it could not be stored */
export type SendNotice = (envelope: Envelope, told: readonly Told[], settles: Settles) => Promise<string | undefined>;

export function createSendNotice(ports: DeliveryPorts, hostname: string, policy: () => NoticePolicy): SendNotice {
  const { queue, clock, directory, log } = ports;

  /** The message as far as it can be read: of one that is damaged on the disk its sender is told all the same. */
  async function read(id: string, atMostBytes: number): Promise<{ readonly bytes: Uint8Array; readonly isDamaged: boolean }> {
    const chunks: Uint8Array[] = [];
    let size = 0;
    try {
      for await (const chunk of queue.body(id)) {
        chunks.push(Uint8Array.from(chunk));
        size += chunk.length;
        if (size >= atMostBytes) break;
      }
    } catch (error) {
      if (!(error instanceof StoreError) || error.code !== 'PH_STORE_DAMAGED') throw error;
      log.error('delivery.bounce.damaged', { message: id, reason: error.message });
      return { bytes: Buffer.concat(chunks), isDamaged: true };
    }
    return { bytes: Buffer.concat(chunks), isDamaged: false };
  }

  /** Where a notice goes; empty when the sender is an address of ours that nobody has. */
  function recipientsOf(reversePath: string): Recipient[] {
    const found = directory.resolve(reversePath);
    if (found.is === 'unknown') return [];
    if (found.is !== 'known') return [{ address: reversePath, notify: [] }];
    return found.targets.map((target) => ({
      address: target.address,
      ...(target.to === 'mailbox' ? { mailbox: target.mailbox } : {}),
      notify: [],
    }));
  }

  return async (envelope, told, settles) => {
    const recipients = recipientsOf(envelope.reversePath);
    if (recipients.length === 0) {
      log.warn('delivery.bounce.nobody', { message: envelope.id, reversePath: envelope.reversePath });
      return undefined;
    }
    // RFC 3461 §4.3: a notice without a failure brings the header alone.
    const isWanted =
      envelope.ret === 'full' &&
      // RFC 8689 §5: what was to stay secret is not spread.
      envelope.requireTls !== true &&
      envelope.body !== 'binarymime' &&
      envelope.sizeBytes <= policy().maxReturnBytes &&
      told.some(({ action }) => action === 'failed');
    const { bytes: message, isDamaged } = await read(envelope.id, isWanted ? envelope.sizeBytes : MAX_HEADER_BYTES);
    const whole = isWanted && !isDamaged && (await goesAnywhere(message, envelope.smtpUtf8 === true));
    const id = ports.newId();
    const nowMs = clock.now();
    const { bytes, body, smtpUtf8 } = buildNotice({ envelope, told, message, whole, hostname, id, nowMs });
    await ports.submitNotice(
      {
        id,
        receivedAtMs: nowMs,
        reversePath: '',
        recipients,
        origin: {
          listener: 'internal',
          clientAddress: '',
          clientPort: 0,
          helo: hostname,
          protocol: 'SMTP',
          sessionId: envelope.origin.sessionId,
        },
        sizeBytes: bytes.length,
        body,
        settles,
        ...(smtpUtf8 ? { smtpUtf8: true } : {}),
        // RFC 6710 §4.6: as urgent as what it is about.
        // RFC 8689 §5: it tells of what was to stay secret.
        ...(envelope.requireTls === true ? { requireTls: true } : {}),
        ...(envelope.priority === undefined ? {} : { priority: envelope.priority }),
      },
      bytes,
    );
    return id;
  };
}
