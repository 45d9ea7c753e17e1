/**
 * Which versions, ciphers and groups a listener takes, and which protocols it says it speaks: Mozilla's server side TLS
 * guidelines, version 6.0, with the two profiles they have. Used by server-tls.ts; pure data.
 */
import { constants } from 'node:crypto';
import type { SecureContextOptions } from 'node:tls';

export type TlsProfile = 'intermediate' | 'modern';

/**
 * In our order, but for ChaCha20: a client that names it first has no AES in its processor and gets it. The guidelines
 * leave the whole order to the client for the sake of that one; scanners take a server without an order for a bad one.
 */
const TLS_1_3 = 'TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256';
const TLS_1_2 =
  'ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:' +
  'ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305';
const GROUPS = 'X25519MLKEM768:X25519:prime256v1:secp384r1';

/** @returns what a secure context is made with. */
export function profileOptions(profile: TlsProfile): SecureContextOptions {
  return {
    minVersion: profile === 'modern' ? 'TLSv1.3' : 'TLSv1.2',
    ciphers: profile === 'modern' ? TLS_1_3 : `${TLS_1_3}:${TLS_1_2}`,
    ecdhCurve: GROUPS,
    honorCipherOrder: true,
    // A client that could ask for handshake after handshake would have our CPU for little of its own.
    secureOptions: constants.SSL_OP_NO_RENEGOTIATION | constants.SSL_OP_PRIORITIZE_CHACHA,
  };
}

/**
 * Names for ALPN (RFC 7301). A client that names others only, such as a browser that was led here by somebody in
 * between, is refused in the handshake; one that names none is taken.
 */
export const ALPN = { smtp: ['smtp', 'esmtp', 'lmtp'], pop3: ['pop3'] } as const;
