/**
 * What a notice settles of the message it is about, kept with the notice itself: the one write that stores it says also what
 * became of those it tells of. A crash before the queue was told of them changes nothing then: the next start reads it from
 * the notice (recover.ts), and neither delivery nor notice is repeated. Made by delivery/settle.
 */
import type { Envelope } from '../mail/envelope.ts';
import type { DeliveryState, QueueStore, RecipientState, StoredMessage } from './store.ts';

/** By index of the recipient in the message `id`. */
export interface Settles {
  readonly id: string;
  readonly recipients: readonly (readonly [index: number, state: RecipientState])[];
}

/** The envelope of a notice. */
export type NoticeEnvelope = Envelope & { readonly settles?: Settles };

/** Every recipient as it is before the first attempt: pending, and due from the start. */
export function untried({ recipients, receivedAtMs }: Envelope): RecipientState[] {
  return recipients.map(() => ({ status: 'pending', attempts: 0, nextAttemptAtMs: receivedAtMs }));
}

/**
 * The message that a notice settles something of, when its record does not say so yet.
 * @returns undefined when there is no such message, or nothing that is news: later attempts count more than an old notice
 * @throws StoreError
 */
export async function unsettled(store: Pick<QueueStore, 'read'>, settles: Settles): Promise<StoredMessage | undefined> {
  const stored = await store.read(settles.id);
  if (stored === undefined) return undefined;
  const recipients = [...(stored.state?.recipients ?? untried(stored.envelope))];
  let isNews = false;
  for (const [index, state] of settles.recipients) {
    const known = recipients[index];
    if (known?.status !== 'pending' || known.attempts >= state.attempts) continue;
    recipients[index] = state;
    isNews = true;
  }
  const state: DeliveryState = { ...stored.state, recipients };
  return isNews ? { envelope: stored.envelope, state } : undefined;
}
