import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { User } from './directory.ts';
import { createDirectory, type DomainOptions } from './domains.ts';

function domain(options: Partial<DomainOptions> = {}): DomainOptions {
  return { deliver: 'maildir', aliases: {}, catchAll: null, plusAddressing: true, ...options };
}
function user(name: string, ...addresses: string[]): User {
  return { name, passwordHash: '$argon2id$', addresses };
}

const USERS = [user('alice', 'alice@example.org', 'a.smith@straße.example'), user('bob', 'bob@example.org'), user('Carol')];

function directory(options: Partial<DomainOptions> = {}, more: Record<string, DomainOptions> = {}) {
  return createDirectory({ domains: { 'Example.org': domain(options), 'straße.example': domain(), ...more }, users: USERS });
}

/** `mailbox` names and foreign addresses an address leads to, or the kind of the answer. */
function leadsTo(
  address: string,
  options: Partial<DomainOptions> = {},
  more: Record<string, DomainOptions> = {},
): string[] | string {
  const answer = directory(options, more).resolve(address);
  return answer.is === 'known'
    ? answer.targets.map((target) => (target.to === 'mailbox' ? target.mailbox : target.address))
    : answer.is;
}

describe('an address of a user', () => {
  it.each([
    'alice@example.org',
    'ALICE@EXAMPLE.ORG',
    '"alice"@example.org',
    '"al\\ice"@example.org',
    'alice+news@example.org',
    'Alice+a+b@example.org',
    'a.smith@xn--strae-oqa.example',
    'A.Smith@straße.example',
  ])('%s reaches her mailbox', (address) => expect(leadsTo(address)).toEqual(['alice']));

  it('keeps the local part as it was given, and the domain in lower case', () => {
    expect(directory().resolve('Alice+Tag@EXAMPLE.org')).toEqual({
      is: 'known',
      targets: [{ to: 'mailbox', mailbox: 'alice', address: 'Alice+Tag@example.org' }],
    });
  });
  it('a name that is no address of the domain is unknown', () => {
    expect(leadsTo('nobody@example.org')).toBe('unknown');
    expect(leadsTo('carol@example.org')).toBe('unknown');
    expect(leadsTo('+alice@example.org')).toBe('unknown');
  });
  it('plus addressing can be off', () => expect(leadsTo('alice+x@example.org', { plusAddressing: false })).toBe('unknown'));
  it('the exact address goes before the tag', () => {
    const own = createDirectory({
      domains: { 'a.example': domain() },
      users: [user('x', 'x@a.example'), user('y', 'x+y@a.example')],
    });
    expect(own.resolve('x+y@a.example')).toMatchObject({ targets: [{ mailbox: 'y' }] });
  });
});

describe('other domains', () => {
  it.each(['alice@example.com', 'alice@sub.example.org', 'alice@[127.0.0.1]', 'alice@example.org@example.com'])(
    '%s is foreign',
    (address) => expect(leadsTo(address)).toBe('foreign'),
  );
  it.each(['', '@', 'alice', '@example.org', 'alice@', '"alice@example.org', '""alice@example.org'])('%j is nobody', (address) =>
    expect(leadsTo(address)).toBe('unknown'),
  );
  it('that another server keeps are forwarded, except for aliases here', () => {
    const more = { 'b.example': domain({ deliver: 'smtp://10.0.0.1', aliases: { info: 'alice@example.org' } }) };
    expect(leadsTo('anybody@b.example', {}, more)).toBe('forwarded');
    expect(leadsTo('info@b.example', {}, more)).toEqual(['alice']);
    expect(leadsTo('x@example.org', { aliases: { x: 'Y@B.example' } }, more)).toEqual(['Y@b.example']);
  });
  it('ours is ours in any form', () => {
    for (const name of ['example.org', 'EXAMPLE.org', 'xn--strae-oqa.example', 'straße.example'])
      expect(directory().isOurs(name)).toBe(true);
    expect(directory().isOurs('example.com')).toBe(false);
  });
});

describe('aliases', () => {
  it('lead to addresses here and elsewhere, each once', () => {
    const aliases = { info: ['bob', 'BOB@example.org', 'x@example.net', 'x@EXAMPLE.net', 'Carol'] };
    expect(leadsTo('info@example.org', { aliases })).toEqual(['bob', 'x@example.net', 'Carol']);
    expect(leadsTo('Info+x@example.org', { aliases })).toEqual(['bob', 'x@example.net', 'Carol']);
  });
  it('go before mailboxes, and can keep a copy', () => {
    expect(leadsTo('bob@example.org', { aliases: { bob: 'alice' } })).toEqual(['alice']);
    expect(leadsTo('bob@example.org', { aliases: { Bob: ['bob', 'alice'] } })).toEqual(['bob', 'alice']);
  });
  it('are followed through each other', () => {
    const aliases = { all: ['staff', 'guests'], staff: ['alice', 'bob'], guests: ['g@example.net', 'staff'] };
    expect(leadsTo('all@example.org', { aliases })).toEqual(['alice', 'bob', 'g@example.net']);
  });
  it('that loop lead to whoever else is in them', () => {
    expect(leadsTo('a@example.org', { aliases: { a: 'b', b: 'a' } })).toBe('unknown');
    expect(leadsTo('a@example.org', { aliases: { a: ['b', 'alice'], b: 'a' } })).toEqual(['alice']);
  });
  it('to nobody are nobody, and a catch-all does not hide it', () => {
    expect(leadsTo('x@example.org', { aliases: { x: 'nobody' } })).toBe('unknown');
    expect(leadsTo('x@example.org', { aliases: { x: ['nobody', 'bob'] }, catchAll: 'alice' })).toEqual(['bob']);
  });
  it('a chain longer than ten ends nowhere', () => {
    const chain = (length: number) =>
      Object.fromEntries(Array.from({ length }, (_, i) => [`a${i}`, i === length - 1 ? 'bob' : `a${i + 1}`]));
    expect(leadsTo('a0@example.org', { aliases: chain(10) })).toEqual(['bob']);
    expect(leadsTo('a0@example.org', { aliases: chain(11) })).toBe('unknown');
  });
  it('may have quoted names', () =>
    expect(leadsTo('"two words"@example.org', { aliases: { '"two words"': 'bob' } })).toEqual(['bob']));
  it('do not make an own domain of an object key', () => {
    expect(leadsTo('constructor@example.org')).toBe('unknown');
    expect(leadsTo('x@constructor')).toBe('foreign');
  });
  it('end in bounded time, however they are knotted', () => {
    const names = ['a', 'b', 'c', 'd', 'e', 'f'];
    const target = fc.constantFrom(...names, 'alice', 'x@example.net', 'a@example.org', 'd@straße.example');
    fc.assert(
      fc.property(fc.dictionary(fc.constantFrom(...names), fc.array(target, { maxLength: 8 })), target, (aliases, catchAll) => {
        const own = directory({ aliases, catchAll });
        for (const name of names) {
          const answer = own.resolve(`${name}@example.org`);
          if (answer.is === 'known') expect(answer.targets.length).toBeGreaterThan(0);
        }
      }),
    );
  });
});

describe('an address literal', () => {
  const own = createDirectory({
    domains: { 'kept.example': domain({ deliver: 'smtp://192.0.2.1:25' }), 'example.org': domain({ aliases: { info: 'bob' } }) },
    users: USERS,
    ownAddresses: ['192.0.2.7', '2001:db8::1', '127.0.0.1'],
  });
  it.each([
    ['alice@[192.0.2.7]', ['alice']],
    ['ALICE+tag@[192.0.2.7]', ['alice']],
    ['info@[IPv6:2001:db8::1]', ['bob']],
    ['alice@[IPv6:2001:DB8:0:0::0.0.0.1]', ['alice']],
    ['postmaster@[127.0.0.1]', ['alice']],
    ['alice@[127.0.0.001]', ['alice']],
    ['alice@[IPv6:::ffff:127.0.0.1]', ['alice']],
  ])('%s of ours is the first domain that has users', (address, mailboxes) => {
    const answer = own.resolve(address);
    const targets = answer.is === 'known' ? answer.targets : [];
    expect(targets.map((target) => target.to === 'mailbox' && target.mailbox)).toEqual(mailboxes);
    for (const target of targets) expect(target.address).toMatch(/@example\.org$/);
  });
  it('of ours with nobody there is unknown; of another machine it is foreign', () => {
    expect(own.resolve('nobody@[192.0.2.7]')).toEqual({ is: 'unknown' });
    expect(own.resolve('alice@[192.0.2.8]')).toEqual({ is: 'foreign' });
    expect(own.resolve('alice@[IPv6:2001:db8::2]')).toEqual({ is: 'foreign' });
    expect(own.isOurs('[192.0.2.7]')).toBe(true);
    expect(own.isOurs('[ipv6:2001:0db8::1]')).toBe(true);
    expect(directory().resolve('alice@[192.0.2.7]')).toEqual({ is: 'foreign' });
  });
});

describe('catchAll', () => {
  it('takes what nobody else does', () => {
    expect(leadsTo('nobody@example.org', { catchAll: 'bob' })).toEqual(['bob']);
    expect(leadsTo('alice@example.org', { catchAll: 'bob' })).toEqual(['alice']);
    expect(leadsTo('nobody@example.org', { catchAll: 'x@example.net' })).toEqual(['x@example.net']);
    expect(leadsTo('nobody@example.org', { catchAll: 'info', aliases: { info: 'bob' } })).toEqual(['bob']);
  });
  it('that is nobody changes nothing', () => expect(leadsTo('nobody@example.org', { catchAll: 'gone' })).toBe('unknown'));
  it('may point into a domain with a catch-all', () => {
    const more = { 'b.example': domain({ catchAll: 'y@example.org' }) };
    expect(leadsTo('x@b.example', { catchAll: 'z@b.example' }, more)).toBe('unknown');
  });
});

describe('postmaster', () => {
  it('is always there, with and without a domain', () => {
    for (const address of ['postmaster', 'Postmaster', 'POSTMASTER@example.org', 'postmaster+x@example.org']) {
      expect(leadsTo(address)).toEqual(address.includes('+') ? 'unknown' : ['alice']);
    }
  });
  it('is the user of that name, or admin, or an alias', () => {
    const own = (...users: User[]) => createDirectory({ domains: { 'a.example': domain() }, users }).resolve('postmaster');
    expect(own(user('x'), user('admin'))).toMatchObject({ targets: [{ mailbox: 'admin' }] });
    expect(own(user('admin'), user('Postmaster'))).toMatchObject({ targets: [{ mailbox: 'Postmaster' }] });
    expect(leadsTo('postmaster', { aliases: { postmaster: 'bob' } })).toEqual(['bob']);
  });
  it('goes before a catch-all', () => expect(leadsTo('postmaster@example.org', { catchAll: 'bob' })).toEqual(['alice']));
  it('is nobody where there is no user at all', () => {
    expect(createDirectory({ domains: { 'a.example': domain() }, users: [] }).resolve('postmaster')).toEqual({ is: 'unknown' });
    expect(createDirectory({ domains: {}, users: USERS }).resolve('postmaster')).toEqual({ is: 'unknown' });
  });
});

describe('mayWriteAs', () => {
  const users = [
    user('alice', 'alice@example.org', 'alice@partner.example'),
    { ...user('Bob', 'bob@example.org'), sendAs: ['boss@elsewhere.example', '@sales.example'] },
    { ...user('robot'), sendAs: ['*'] },
    user('dora@own.example'),
  ];
  const aliases = { team: ['alice', 'bob'], out: 'x@elsewhere.example' };
  const domains = { 'example.org': domain({ aliases }), 'kept.example': domain({ deliver: 'smtp://192.0.2.1:25' }) };
  const { mayWriteAs } = createDirectory({ domains, users });

  it.each([
    ['alice', 'ALICE@example.org', true],
    ['alice', 'alice+tag@example.org', true],
    ['alice', 'team@example.org', true],
    ['alice', 'alice@partner.example', true],
    ['alice', 'alice+tag@partner.example', false],
    ['alice', 'other@partner.example', false],
    ['alice', 'bob@example.org', false],
    ['alice', 'out@example.org', false],
    ['alice', 'nobody@example.org', false],
    ['alice', 'alice@kept.example', false],
    ['ALICE', 'postmaster@example.org', true],
    ['bob', 'bob@example.org', true],
    ['bob', 'Boss@Elsewhere.example', true],
    ['bob', 'anybody@sales.example', true],
    ['bob', 'anybody@elsewhere.example', false],
    ['bob', 'anybody@east.sales.example', false],
    ['robot', 'anybody@anywhere.example', true],
    ['dora@own.example', 'dora@own.example', true],
    ['nobody', 'alice@example.org', false],
    ['alice', 'alice', false],
  ] as const)('%s as %s: %s', (name, address, may) => expect(mayWriteAs(name, address, 'login')).toBe(may));

  it.each([
    ['alice', 'bob@example.org', true],
    ['alice', 'other@partner.example', true],
    ['bob', 'anybody@elsewhere.example', true],
    ['bob', 'alice@partner.example', false],
    ['dora@own.example', 'x@own.example', true],
    ['dora@own.example', 'alice@example.org', false],
  ] as const)('%s in the domain of %s: %s', (name, address, may) => expect(mayWriteAs(name, address, 'domain')).toBe(may));
});

describe('user', () => {
  it('is found by name or address, in any case', () => {
    const own = directory();
    for (const name of ['carol', 'CAROL']) expect(own.user(name)?.name).toBe('Carol');
    expect(own.user('A.Smith@straße.example')?.name).toBe('alice');
    for (const name of ['dave', '', '@', 'dave@example.org', 'toString']) expect(own.user(name)).toBeUndefined();
  });
});
