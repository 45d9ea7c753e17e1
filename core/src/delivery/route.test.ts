import { describe, expect, it } from 'vitest';
import { makeRouter, parseVia, type RouteRules } from './route.ts';

const RELAY = { via: null, routes: [], port: 25, tls: 'opportunistic', mtaSts: true, convertSigned: false } as const;
const rules = (over: Partial<RouteRules['relay']> = {}, domains: RouteRules['domains'] = {}): RouteRules => ({
  domains,
  relay: { ...RELAY, ...over },
});
const keyOf = (address: string, from: RouteRules, quarantine?: string): string => {
  const hop = makeRouter(from)({ address }, quarantine === undefined ? {} : { quarantine });
  return hop.to === 'refused' ? hop.reply : hop.key;
};

describe('the next hop of a recipient', () => {
  it('is their mailbox when they have one, whatever the domain says', () => {
    const hop = makeRouter(rules({ via: 'smtp://hub.test' }))({ address: 'a@x.test', mailbox: 'alice' }, {});
    expect(hop).toEqual({ to: 'mailbox', key: 'maildir:alice', mailbox: 'alice' });
  });

  it('is the server that keeps a domain of ours', () => {
    const ours = rules({ via: 'smtp://hub.test' }, { 'Ours.test': { deliver: 'smtp://10.0.0.5:26' } });
    expect(keyOf('a@ours.TEST', ours)).toBe('smtp://10.0.0.5:26');
  });

  it('is an LMTP server at a port or on a socket, whose path is percent-decoded', () => {
    expect(parseVia('lmtp://[::1]:24', 'required')).toMatchObject({ protocol: 'lmtp', host: '::1', port: 24, tls: 'required' });
    const socket = { protocol: 'lmtp', socketPath: '/run/a b', tls: 'never', key: 'lmtp:/run/a b' };
    expect(parseVia('lmtp:/run/a%20b', 'required')).toMatchObject(socket);
    for (const none of ['lmtp://host', 'lmtp:run', 'lmtp:']) expect(() => parseVia(none, 'never')).toThrow(TypeError);
  });

  it('is nobody for an address of a local domain without a mailbox, never the MX', () => {
    expect(keyOf('gone@ours.test', rules({}, { 'ours.test': { deliver: 'maildir' } }))).toMatch(/^550 5\.1\.1 /);
  });

  it('is that of the first route that matches, then the smart host', () => {
    const routes = [
      { to: '*.internal', via: 'smtp://10.0.0.7' },
      { to: 'a.internal', via: 'smtp://10.0.0.8' },
      { to: 'drop.test', via: 'discard:' },
    ];
    const from = rules({ via: 'smtps://hub.test', routes });
    expect(keyOf('x@a.internal', from)).toBe('smtp://10.0.0.7:25');
    expect(keyOf('x@b.a.INTERNAL', from)).toBe('smtp://10.0.0.7:25');
    expect(keyOf('x@internal', from)).toBe('smtps://hub.test:465');
    expect(keyOf('x@drop.test', from)).toBe('discard');
  });

  it('knows a domain that is written with other than ASCII letters by its A-labels, as addresses have it', () => {
    const routes = [
      { to: '*.bücher.test', via: 'smtp://10.0.0.7' },
      { to: 'Grün.test', via: 'smtp://10.0.0.8' },
    ];
    const from = rules({ routes }, { 'bücher.test': { deliver: 'smtp://10.0.0.5' }, 'blau.tést': { deliver: 'maildir' } });
    expect(keyOf('x@xn--bcher-kva.test', from)).toBe('smtp://10.0.0.5:25');
    expect(keyOf('x@a.xn--bcher-kva.test', from)).toBe('smtp://10.0.0.7:25');
    expect(keyOf('x@xn--grn-ioa.test', from)).toBe('smtp://10.0.0.8:25');
    expect(keyOf('x@blau.xn--tst-bma.TEST', from)).toMatch(/^mx:/);
    expect(keyOf('x@blau.xn--tst-bma', from)).toMatch(/^550 5\.1\.1 /);
  });

  it('is the MX of the domain, or the address of a literal', () => {
    expect(keyOf('x@Y.test', rules())).toBe('mx:y.test:25');
    expect(makeRouter(rules())({ address: 'x@[192.0.2.1]' }, {})).toMatchObject({ to: 'literal', domain: '192.0.2.1' });
    expect(makeRouter(rules())({ address: 'x@[IPv6:2001:DB8::1]' }, {})).toMatchObject({ to: 'literal', domain: '2001:db8::1' });
    expect(keyOf('x@[192.0.2.999]', rules())).toMatch(/^550 5\.1\.2 /);
  });

  it.each(['a b\r\nDATA@y.test', 'x\x9b@y.test', 'a>@y.test', 'x\0@y.test'])(
    'is refused for what is no SMTP address: %j',
    (address) => {
      expect(keyOf(address, rules())).toMatch(/^553 5\.1\.3 /);
    },
  );

  it('is refused without a domain', () => {
    expect(keyOf('nobody', rules())).toMatch(/^553 5\.1\.3 /);
  });

  it('is no other server for quarantined mail, but for that of a domain of ours', () => {
    expect(keyOf('x@y.test', rules(), 'spam')).toMatch(/^550 5\.7\.1 /);
    // It was taken with 250, and then failed here without a word.
    const ours = rules({}, { 'ours.test': { deliver: 'smtp://inner.test:2525' }, 'box.test': { deliver: 'lmtp:/run/lmtp' } });
    expect(keyOf('x@ours.test', ours, 'spam')).toBe('smtp://inner.test:2525');
    expect(keyOf('x@box.test', ours, 'spam')).toBe('lmtp:/run/lmtp');
    expect(keyOf('x@sub.ours.test', ours, 'spam')).toMatch(/^550 5\.7\.1 /);
    expect(keyOf('x@drop.test', rules({ via: 'discard:' }), 'spam')).toBe('discard');
  });
});

describe('a configured next hop', () => {
  it('carries percent-decoded credentials, and no secret in its key', () => {
    const hop = parseVia('smtps://me%40x.test:s%2Fe%3Acret@hub.test', 'never');
    expect(hop).toMatchObject({
      host: 'hub.test',
      port: 465,
      tls: 'implicit',
      credentials: { user: 'me@x.test', secret: 's/e:cret' },
    });
    expect(hop.key).toBe('smtps://me%40x.test@hub.test:465');
  });

  it('may be an IPv6 address', () => {
    expect(parseVia('smtp://[2001:db8::1]:2525', 'never')).toMatchObject({ host: '2001:db8::1', port: 2525 });
  });

  it.each(['http://x.test', 'smtp://', 'nonsense'])('is a TypeError when it is none: %s', (via) => {
    expect(() => parseVia(via, 'never')).toThrow(TypeError);
  });

  it('has a key of its own for each trust that a message needs, so that no connection is shared', () => {
    const route = makeRouter(rules({ via: 'smtp://hub.test' }));
    const keys = [{}, { requireTls: true }, { requireTls: true, reversePath: '' }, { tlsOptional: true }] as const;
    expect(keys.map((envelope) => route({ address: 'a@y.test' }, envelope).key)).toEqual([
      'smtp://hub.test:25',
      'smtp://hub.test:25 requiretls',
      'smtp://hub.test:25 protected',
      'smtp://hub.test:25 optional',
    ]);
  });

  it('needs no TLS for REQUIRETLS where LMTP goes over no network (RFC 8689 §4.4), and is refused where TLS is never used', () => {
    const hopTo = (deliver: string) =>
      makeRouter(rules({ tls: 'never' }, { 'ours.test': { deliver } }))({ address: 'a@ours.test' }, { requireTls: true });
    for (const here of ['lmtp:/run/lmtp', 'lmtp://127.0.0.1:24', 'lmtp://[::1]:24', 'lmtp://localhost:24']) {
      expect(hopTo(here)).toMatchObject({ to: 'host', protocol: 'lmtp' });
    }
    for (const away of ['lmtp://10.0.0.5:24', 'smtp://127.0.0.1:25']) {
      expect(hopTo(away)).toMatchObject({ to: 'refused', reply: expect.stringMatching(/^550 5\.7\.10 /) });
    }
  });
});
