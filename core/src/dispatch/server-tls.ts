/**
 * TLS as server for one listener: certificates by the name a client asks for, the profile, client certificates, session
 * tickets. The thread makes one for each listener and set of settings; connection.ts wraps its socket by it and asks it
 * for the facts. A broken certificate throws when it is made, never in a handshake of another name.
 */
import { constants, createHash, X509Certificate } from 'node:crypto';
import type { Socket } from 'node:net';
import { createSecureContext, type SecureContext, TLSSocket } from 'node:tls';
import type { TlsFacts } from '../wire/session.ts';
import { CertificateChoice } from './certificate-choice.ts';
import { serverEndPointOf, subjectAltNamesOf } from './certificate-facts.ts';
import { ALPN, profileOptions, type TlsProfile } from './tls-profile.ts';

/** A certificate with its key, as it is shown. */
export interface TlsIdentity {
  /** PEM: the chain, own certificate first. */
  readonly certificate: string;
  /** PEM. */
  readonly key: string;
  /** In lower case; `*.example.org` stands for one label more. */
  readonly names: readonly string[];
  /** Node's name of the kind of key, `ec` or `rsa`: a client that cannot do the one may be shown the other. */
  readonly keyType: string;
  readonly fingerprint256: string;
  /** When it expires, in milliseconds since 1970. */
  readonly endsAtMs: number;
}

export interface ServerTlsOptions {
  readonly listener: string;
  readonly protocol: keyof typeof ALPN;
  readonly profile: TlsProfile;
  /** The first is for clients that ask for no name, or for one that nobody has. */
  readonly identities: readonly TlsIdentity[];
  readonly clientCertificates: 'off' | 'request' | 'require';
  /** PEM of the CAs whose client certificates count. */
  readonly clientCa: string | undefined;
  /** PEM of what they have revoked. */
  readonly clientCrl: string | undefined;
  /** 48 bytes, the same for all threads, processes and machines that take up each other's sessions. */
  readonly ticketKeys: Uint8Array;
  /** Seconds for which a session may be taken up again. */
  readonly sessionTimeoutSeconds: number;
}

/** The end of a handshake: the facts, or why the connection is not to be used. */
export type Secured = { readonly ok: true; readonly facts: TlsFacts } | { readonly ok: false; readonly cause: string };

/** Node says so on its sockets, though its types do not. Where it is missing no certificate counts. */
interface Verified {
  readonly ssl?: { readonly verifyError?: () => { readonly code?: string; readonly message: string } | null };
}

/** OpenSSL's bound: what a session belongs to. */
const SCOPE_BYTES = 32;

export class ServerTls {
  readonly #options: ServerTlsOptions;
  readonly #choice: CertificateChoice;
  readonly #default: SecureContext;
  /** Made when first asked for: with hundreds of certificates a reload would hold up every session of the thread. */
  readonly #contexts = new Map<string, SecureContext>();

  /** @throws Error when the default certificate, its key or the CA file cannot be used */
  constructor(options: ServerTlsOptions) {
    this.#options = options;
    const [first, ...more] = options.identities;
    if (first === undefined) throw new Error(`listener ${options.listener} has no certificate`);
    this.#choice = new CertificateChoice([first, ...more]);
    this.#default = this.#contextOf(this.#choice.first);
  }

  /** Begins the handshake on a connection from which nothing more is read in clear. */
  secure(plain: Socket): TLSSocket {
    const { protocol, clientCertificates } = this.#options;
    return new TLSSocket(plain, {
      isServer: true,
      secureContext: this.#default,
      ALPNProtocols: [...ALPN[protocol]],
      requestCert: clientCertificates !== 'off',
      // OpenSSL alone would refuse only who shows none: `secured` looks at both.
      rejectUnauthorized: false,
      SNICallback: (name, done) => {
        try {
          done(null, this.#contextFor(name));
        } catch (error) {
          done(error instanceof Error ? error : new Error(String(error)));
        }
      },
    });
  }

  /** To be called once the handshake is done. */
  secured(socket: TLSSocket): Secured {
    const { clientCertificates } = this.#options;
    const basic = {
      version: socket.getProtocol() ?? 'unknown',
      cipher: socket.getCipher().standardName,
      channelBinding: {
        exporter: () =>
          socket.getProtocol() === 'TLSv1.3' && !socket.destroyed
            ? socket.exportKeyingMaterial(32, 'EXPORTER-Channel-Binding', Buffer.alloc(0))
            : undefined,
        serverEndPoint: () => this.#serverEndPoint(socket),
      },
    };
    if (clientCertificates === 'off') return { ok: true, facts: basic };
    const certificate = socket.getPeerX509Certificate();
    const problem = certificate === undefined ? 'none was shown' : (verifyProblem(socket) ?? endOf(certificate));
    if (certificate === undefined || problem !== undefined) {
      if (clientCertificates === 'require') return { ok: false, cause: `client certificate: ${problem}` };
      return { ok: true, facts: basic };
    }
    const clientCertificate = {
      subjectAltNames: subjectAltNamesOf(certificate.subjectAltName),
      fingerprint256: certificate.fingerprint256,
    };
    return { ok: true, facts: { ...basic, clientCertificate } };
  }

  /**
   * A session that was taken up again shows no certificate, and the socket has that of the context which the connection
   * began with, whatever the name: where one alone is shown for the name it can only have been that one, since tickets do
   * not outlive a change of certificates.
   */
  #serverEndPoint(socket: TLSSocket): Uint8Array | undefined {
    if (socket.destroyed) return undefined;
    if (socket.isSessionReused()) {
      const [one, ...more] = this.#choice.shownFor(typeof socket.servername === 'string' ? socket.servername : '');
      return one === undefined || more.length > 0 ? undefined : serverEndPointOf(new X509Certificate(one.certificate));
    }
    const own = socket.getX509Certificate();
    return own === undefined ? undefined : serverEndPointOf(own);
  }

  /** @returns undefined where the connection goes on with what it began with: only that can show several kinds of key. */
  #contextFor(name: string): SecureContext | undefined {
    const shown = this.#choice.shownFor(name);
    return shown === this.#choice.first ? undefined : this.#contextOf(shown);
  }

  #contextOf(shown: readonly TlsIdentity[]): SecureContext {
    const key = shown.map(({ fingerprint256 }) => fingerprint256).join(' ');
    const made = this.#contexts.get(key);
    if (made !== undefined) return made;
    const { profile, clientCa, clientCrl, ticketKeys, sessionTimeoutSeconds } = this.#options;
    const ofProfile = profileOptions(profile);
    const context = createSecureContext({
      ...ofProfile,
      ...(clientCrl === undefined ? {} : { secureOptions: (ofProfile.secureOptions ?? 0) | constants.SSL_OP_NO_TICKET }),
      cert: shown.map(({ certificate }) => certificate),
      key: shown.map((one) => one.key),
      ...(clientCa === undefined ? {} : { ca: clientCa }),
      ...(clientCrl === undefined ? {} : { crl: revocationLists(clientCrl) }),
      ticketKeys: Buffer.from(ticketKeys),
      sessionTimeout: sessionTimeoutSeconds,
      sessionIdContext: this.#scope(),
    });
    this.#contexts.set(key, context);
    return context;
  }

  /** A session is taken up only where the same is asked of clients and the same certificates are shown. */
  #scope(): string {
    const { listener, protocol, profile, clientCertificates, clientCa = '', clientCrl = '', identities } = this.#options;
    const shown = identities.map(({ fingerprint256 }) => fingerprint256);
    const about = JSON.stringify([listener, protocol, profile, clientCertificates, clientCa, clientCrl, shown]);
    return createHash('sha256').update(about).digest('hex').slice(0, SCOPE_BYTES);
  }
}

/** @returns each list of a PEM file: Node would read the first alone. */
export function revocationLists(pem: string): string[] {
  return [...pem.matchAll(/-----BEGIN X509 CRL-----[\s\S]+?-----END X509 CRL-----/g)].map(([list]) => list);
}

/**
 * OpenSSL looks at a certificate once: in a session that is taken up again, and again, one that ended meanwhile would be
 * good for ever. The same holds for the age of a revocation list, which nothing tells us: with one no session is taken up.
 */
function endOf(certificate: X509Certificate): string | undefined {
  return Date.parse(certificate.validTo) < Date.now() ? 'CERT_HAS_EXPIRED' : undefined;
}

/** @returns why the certificate does not count; undefined when it does. */
function verifyProblem(socket: TLSSocket): string | undefined {
  const { ssl } = socket as TLSSocket & Verified;
  if (ssl?.verifyError === undefined) return 'cannot be verified';
  const error = ssl.verifyError();
  return error === null ? undefined : (error.code ?? error.message);
}
