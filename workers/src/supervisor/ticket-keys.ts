/**
 * The keys of session tickets, for all processes and threads: whoever meets a client again can take up its session
 * without a full handshake. Replaced every `ticketRotation`, so that a key that leaks opens no older TLS 1.2 session.
 * Held by tls-upkeep.ts.
 */
import { hkdfSync, randomBytes } from 'node:crypto';

/** As Node wants them: a name, a key for the MAC, one for the cipher. */
const KEYS_BYTES = 48;

export class TicketKeys {
  #period = Number.NaN;
  #random: Uint8Array = new Uint8Array(0);

  /**
   * Gives the keys of this hour.
   * @param nowMs wall clock: machines that share a secret change keys at the same time
   * @param secret from which keys are derived; undefined for keys that no other machine has
   */
  at(nowMs: number, rotationMs: number, secret: Uint8Array | undefined): Uint8Array {
    const period = Math.floor(nowMs / rotationMs);
    if (secret !== undefined) {
      return new Uint8Array(hkdfSync('sha256', secret, '', `posthorn session tickets ${rotationMs} ${period}`, KEYS_BYTES));
    }
    if (period !== this.#period) {
      this.#period = period;
      this.#random = new Uint8Array(randomBytes(KEYS_BYTES));
    }
    return this.#random;
  }
}
