/**
 * Quarantined mail outside of our mailboxes (docs/decisions/quarantine.md): the header by which the next server of one of
 * our domains files it apart, and what is said where it would leave. Used by smtp/acceptance and delivery/route.
 */

/** Its value is the reason; taken out of mail that brings one. */
export const QUARANTINE_HEADER = 'X-Posthorn-Quarantine';

export const NOT_RELAYED = { code: 550, enhanced: '5.7.1', text: 'message was quarantined and is not relayed' } as const;

/** A reason as a value: printable ASCII of bounded length, whoever gave it. */
export function quarantineValue(reason: string): string {
  return reason.replaceAll(/[^\x20-\x7e]/g, '?').slice(0, 200);
}
