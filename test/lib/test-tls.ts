/**
 * What a session in a dialogue is told of TLS: `@tls-has certificate` (user@example.org's), `@tls-has exporter` and
 * `@tls-has server-end-point` (channel bindings, 32 bytes of the letter A and 32 of B).
 */
import type { TlsFacts } from '@posthorn/core/wire/session';
import { FINGERPRINT } from './test-authenticator.ts';

/** @param has words behind `@tls-has`; with none it is what every dialogue has. */
export function tlsOf(cipher: string, has: readonly string[]): TlsFacts {
  const exporter = has.includes('exporter') ? Buffer.alloc(32, 'A') : undefined;
  const serverEndPoint = has.includes('server-end-point') ? Buffer.alloc(32, 'B') : undefined;
  return {
    version: 'TLSv1.3',
    cipher,
    ...(has.includes('certificate')
      ? { clientCertificate: { subjectAltNames: ['dns:client.example', 'email:user@example.org'], fingerprint256: FINGERPRINT } }
      : {}),
    channelBinding: { exporter: () => exporter, serverEndPoint: () => serverEndPoint },
  };
}

/** `@logins secret scram bearer` -> what users have beside passwords. */
export function formsOf(words: readonly string[]): { secret: boolean; scram: boolean; bearer: boolean } {
  return { secret: words.includes('secret'), scram: words.includes('scram'), bearer: words.includes('bearer') };
}
