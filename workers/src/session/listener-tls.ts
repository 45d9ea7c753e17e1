/**
 * TLS of each listener of a session thread, by the material in force: what a reload, a changed certificate or new keys
 * of tickets replace. Connections under way keep what they began with.
 */
import type { ListenerConfig } from '@posthorn/config';
import { ServerTls } from '@posthorn/core/dispatch/server-tls';
import type { Settings, TlsMaterial } from '../ipc.ts';

/** No session is taken up after a day, however long the keys of tickets stay. */
const MAX_SESSION_SECONDS = 86_400;

/**
 * Makes the TLS of one listener.
 * @returns undefined for a listener without TLS
 * @throws Error when a certificate cannot be used
 */
export function listenerTls(
  { config }: Pick<Settings, 'config'>,
  listener: ListenerConfig,
  tls: TlsMaterial,
  ticketKeys: Uint8Array,
): ServerTls | undefined {
  if (listener.tls === 'none') return undefined;
  const own = tls.listeners[listener.name];
  return new ServerTls({
    listener: listener.name,
    protocol: listener.protocol === 'pop3' ? 'pop3' : 'smtp',
    profile: listener.tlsProfile ?? config.tls.profile,
    identities: own?.identities ?? tls.identities,
    clientCertificates: listener.clientCertificates,
    clientCa: own?.clientCa,
    clientCrl: own?.clientCrl,
    ticketKeys,
    sessionTimeoutSeconds: Math.min(MAX_SESSION_SECONDS, Math.max(1, Math.floor(config.tls.ticketRotation / 1000))),
  });
}
