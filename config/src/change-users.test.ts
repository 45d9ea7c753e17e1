/** What a change of one user leaves of the rest of the file: comments, anchors that are shared, keys that look like numbers. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { changeUsers } from './change-users.ts';
import { loadUsers, type UserEntry } from './users.ts';

const [HASH, NEW_HASH] = ['aGFzaA', 'bmV3'].map((hash) => `$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0$${hash}`) as [
  string,
  string,
];
const [LAPTOP, PHONE] = ['AB', 'CD'].map((pair) => Array.from({ length: 32 }, () => pair).join(':')) as [string, string];
const newPassword = (user: UserEntry) => ({ ...user, passwordHash: NEW_HASH });

let folder: string;
let file: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'posthorn-users-'));
  file = join(folder, 'users.yaml');
});
afterEach(() => rmSync(folder, { recursive: true }));

function users(): readonly UserEntry[] {
  const read = loadUsers(file);
  if (!read.ok) throw new Error(JSON.stringify(read.problems));
  return read.users;
}

describe('names that YAML takes for something else', () => {
  // `user remove 2001` said that he is removed, and removed nobody: the key without quotes was a number.
  it.each(['2001', 'true', 'null', '1e3', '0x1F'])('%s without quotes is changed and removed', (name) => {
    writeFileSync(file, `alice: {}\n${name}: { addresses: [desk@example.org] }\n`);
    changeUsers(file, { edit: name, to: newPassword });
    expect(users().find((user) => user.name === name)).toEqual({
      name,
      passwordHash: NEW_HASH,
      addresses: ['desk@example.org'],
    });
    changeUsers(file, { remove: name });
    expect(users()).toEqual([{ name: 'alice', addresses: [] }]);
  });
});

describe('comments', () => {
  // All inside and behind the entry was gone with a new password.
  it('inside an entry that is changed stay, and so do keys that are not', () => {
    const text = (password: string) => `# who works here
alice:
  # from the old server
  password: ${password} # until June
  # a GiB as all have
  quotaBytes: 1GiB # more from June
  addresses:
    - alice@example.org # the old one
# she is new
carol: {} # for a while
`;
    writeFileSync(file, text(HASH));
    changeUsers(file, { edit: 'alice', to: newPassword });
    expect(readFileSync(file, 'utf8')).toBe(text(NEW_HASH));
  });

  it('stay with the certificates there when one more is noted, and with the key that goes', () => {
    writeFileSync(file, `alice:\n  certificates:\n    - ${LAPTOP} # laptop\n  secret: eight or more\n  addresses: [] # none\n`);
    changeUsers(file, { edit: 'alice', to: (user) => ({ ...user, certificates: [...(user.certificates ?? []), PHONE] }) });
    expect(readFileSync(file, 'utf8')).toContain(`    - ${LAPTOP} # laptop\n    - ${PHONE}\n`);
    changeUsers(file, { edit: 'alice', to: ({ secret: _secret, certificates: _all, ...kept }) => kept });
    expect(readFileSync(file, 'utf8')).toBe('alice:\n  addresses: [] # none\n');
  });
});

it('after the last user the next one is written in lines again', () => {
  changeUsers(file, { add: { name: 'alice', addresses: [] } });
  changeUsers(file, { remove: 'alice' });
  changeUsers(file, { add: { name: 'bob', passwordHash: HASH, addresses: [] } });
  expect(readFileSync(file, 'utf8')).toContain(`bob:\n  password: ${HASH}\n`);
});

describe('values that users share by an anchor', () => {
  const SHARED = 'erin:\n  sendAs: &s [boss@example.org]\nfrank:\n  sendAs: *s\n';
  const frank = { name: 'frank', addresses: [], sendAs: ['boss@example.org'] };

  // Both ended in "Unresolved alias (the anchor must be set before the alias): s".
  it('stay with the others when the one who has the anchor changes or goes', () => {
    writeFileSync(file, SHARED);
    changeUsers(file, { edit: 'erin', to: newPassword });
    expect(readFileSync(file, 'utf8')).toContain('sendAs: *s');
    changeUsers(file, { remove: 'erin' });
    expect(users()).toEqual([frank]);
  });

  it('stay with the others when the shared value itself becomes another', () => {
    writeFileSync(file, SHARED);
    changeUsers(file, { edit: 'erin', to: (user) => ({ ...user, sendAs: ['boss@example.org', '*'] }) });
    expect(users()).toEqual([{ name: 'erin', addresses: [], sendAs: ['boss@example.org', '*'] }, frank]);
  });

  it('and whole entries: neither gets the password of the other', () => {
    const text = `erin: &e { password: &p "${HASH}", quotaBytes: 1KiB }\nfrank: *e\ngrace: { password: *p }\n`;
    for (const name of ['erin', 'frank', 'grace']) {
      writeFileSync(file, text);
      changeUsers(file, { edit: name, to: newPassword });
      expect(users().map((user) => `${user.name} ${user.passwordHash === NEW_HASH ? 'new' : 'old'}`)).toEqual(
        ['erin', 'frank', 'grace'].map((one) => `${one} ${one === name ? 'new' : 'old'}`),
      );
      changeUsers(file, { remove: name });
      expect(users().every((user) => user.passwordHash === HASH)).toBe(true);
      expect(users()).toHaveLength(2);
    }
  });

  it('of two anchors of one name the one above counts', () => {
    writeFileSync(file, 'a:\n  sendAs: &s [one@x.org]\nb:\n  sendAs: &s [two@x.org]\nc:\n  sendAs: *s\n');
    changeUsers(file, { remove: 'b' });
    expect(users().find(({ name }) => name === 'c')?.sendAs).toEqual(['two@x.org']);
  });
});
