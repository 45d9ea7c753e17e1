/**
 * Which certificates of a listener are shown for the name that a client asks for. Exact names come before wildcards. Two
 * kinds of key for one name can be offered together only where the connection begins with them, before any name is known:
 * a context that is handed over for a name shows one certificate, the others in it are not looked at (Node 26). So the names
 * of the first certificate have one of each kind, and other names that which every client can do.
 */
import type { TlsIdentity } from './server-tls.ts';

/** RSA first: what is too old for ECDSA knows it, and hardly anything is too new for it. */
const MOST_COMMON_FIRST = ['rsa', 'ec'];

export class CertificateChoice {
  readonly #byName = new Map<string, TlsIdentity[]>();
  readonly #first: readonly TlsIdentity[];

  /** @param identities at least one: it is for clients that ask for no name, or for one that nobody has. */
  constructor(identities: readonly [TlsIdentity, ...TlsIdentity[]]) {
    for (const identity of identities) {
      for (const name of identity.names) this.#byName.set(name, [...(this.#byName.get(name) ?? []), identity]);
    }
    const [first] = identities;
    // Another kind of key for the same name goes with it.
    this.#first = oneOfEachKind([first, ...(first.names[0] === undefined ? [] : (this.#byName.get(first.names[0]) ?? []))]);
  }

  /** What a connection begins with: at most one of each kind of key, the first of `identities` first. */
  get first(): readonly TlsIdentity[] {
    return this.#first;
  }

  /**
   * @param asked as the client wrote it; empty when it asks for none.
   * @returns `first` itself, or one certificate alone.
   */
  shownFor(asked: string): readonly TlsIdentity[] {
    const name = asked.toLowerCase();
    const dot = name.indexOf('.');
    const known = this.#byName.get(name) ?? (dot > 0 ? this.#byName.get(`*${name.slice(dot)}`) : undefined);
    return known === undefined ? this.#first : this.#shownOf(known);
  }

  /** Each name for which a certificate is there that no client is shown, since another kind of key comes before it. */
  hidden(): { readonly name: string; readonly shown: string; readonly hidden: readonly string[] }[] {
    return [...this.#byName].flatMap(([name, known]) => {
      const shown = this.#shownOf(known);
      const hidden = oneOfEachKind(known).filter((one) => !shown.includes(one));
      return hidden.length === 0 ? [] : [{ name, shown: shown[0]?.keyType ?? '', hidden: hidden.map(({ keyType }) => keyType) }];
    });
  }

  #shownOf(known: readonly TlsIdentity[]): readonly TlsIdentity[] {
    const kinds = oneOfEachKind(known);
    if (kinds.length === this.#first.length && kinds.every((one) => this.#first.includes(one))) return this.#first;
    const common = MOST_COMMON_FIRST.map((kind) => kinds.find(({ keyType }) => keyType === kind)).find(
      (one) => one !== undefined,
    );
    return [common ?? kinds[0]!];
  }
}

function oneOfEachKind(identities: readonly TlsIdentity[]): TlsIdentity[] {
  return identities.filter((one, index) => identities.findIndex(({ keyType }) => keyType === one.keyType) === index);
}
