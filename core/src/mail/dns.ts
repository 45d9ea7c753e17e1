/** Name resolution as an effect, so that tests bring their own names and hooks share one cache. */
export class DnsError extends Error {
  /** `notfound`: the name or type does not exist (permanent). `temporary`: no answer or a server failure. */
  readonly kind: 'notfound' | 'temporary';
  /** Node's code: ENOTFOUND, ENODATA, ETIMEOUT, ESERVFAIL … as libraries such as mailauth expect it. */
  readonly code: string;
  constructor(kind: DnsError['kind'], code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'DnsError';
    this.kind = kind;
    this.code = code;
  }
}

export interface Dns {
  /** All throw DnsError. */
  mx(name: string): Promise<{ exchange: string; priority: number }[]>;
  a(name: string): Promise<string[]>;
  aaaa(name: string): Promise<string[]>;
  txt(name: string): Promise<string[][]>;
  ptr(address: string): Promise<string[]>;
  /** Any of the above by type, as `dns.promises.resolve` gives it: for libraries. */
  resolve(name: string, type: string): Promise<unknown[]>;
}
