/** The seam between a protocol engine and the connection that owns its socket, the same for SMTP and POP3. */

/** What the session tells its owner (dispatch/connection) to do. Bytes written in one turn are joined by the session. */
export interface SessionOutput {
  /**
   * The bytes are not copied: the caller leaves them alone from now on, or until `taken`.
   * @param taken called once, later: the bytes are with the system, or will never be, and may be changed again.
   * @returns false when the peer reads slowly: the session should hold back long answers until `drained`.
   */
  write(bytes: Uint8Array, taken?: () => void): boolean;
  /** Start TLS as server now; whatever was read before and not consumed is thrown away by the session (RFC 3207 §6). */
  startTls(): void;
  /** Read no more until `resume`: a verdict is awaited or a buffer is full. */
  pause(): void;
  resume(): void;
  /** Close after what was written is out. */
  close(): void;
}

/** A certificate that the client showed in the handshake, and that a CA of the listener's stands for. */
export interface ClientCertificate {
  /** `email:alice@example.org`, `dns:host.example.org`, `uri:…`, `ip:…`; the kind in lower case. Other kinds are left out. */
  readonly subjectAltNames: readonly string[];
  /** SHA-256 of the certificate, as `AB:CD:…`. */
  readonly fingerprint256: string;
}

/** What ties a login to this TLS connection and no other (RFC 5056); for SCRAM-…-PLUS. */
export interface ChannelBinding {
  /** `tls-exporter` (RFC 9266): 32 bytes; undefined below TLS 1.3, where it proves too little. */
  exporter(): Uint8Array | undefined;
  /** `tls-server-end-point` (RFC 5929 §4): hash of our certificate; undefined when its signature has no hash of its own. */
  serverEndPoint(): Uint8Array | undefined;
}

/** What is known of TLS once it is up. */
export interface TlsFacts {
  readonly version: string;
  readonly cipher: string;
  /** Only one that was verified; absent where the listener asks for none, or the client had none that does. */
  readonly clientCertificate?: ClientCertificate;
  readonly channelBinding?: ChannelBinding;
}

/** A message between its first octet and its last. */
export interface MessageUnderWay {
  /** In monotonic milliseconds. */
  readonly sinceMs: number;
  /** What came of it so far. */
  readonly sizeBytes: number;
}

/**
 * What dispatch/connection drives, the same for SMTP and POP3. Nothing here throws.
 * Timeouts are the connection's: it calls `timedOut`, and the session says goodbye in its own words.
 */
export interface Session {
  /** Sends the banner (after the connect stage). */
  start(): void;
  /** Bytes from the peer; the buffer may be reused by the caller once this returns. */
  feed(chunk: Uint8Array): void;
  /** TLS is up. */
  secured(tls: TlsFacts): void;
  /** What was written is out, after `write` said false. */
  drained(): void;
  /** No whole command, or no octet of a message, in the time there is for it, or the whole session took too long. */
  timedOut(): void;
  /** The server is going down: finish the command or message under way, then say so and close. */
  drain(): void;
  /** The server waits no longer: says so and closes, whatever is under way, but for a message whose verdict is awaited. */
  leave?(): void;
  /** The peer is gone, or the connection broke. Everything held is given back. */
  closed(): void;
  /** What the session waits for, for the connection's choice of timeout. */
  readonly waitsFor: 'command' | 'data' | 'verdict';
  /** The message that is coming in, if one is, for its deadline and its least pace. */
  readonly message?: MessageUnderWay | undefined;
}
