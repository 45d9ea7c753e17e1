import { execFile, spawnSync } from 'node:child_process';
import {
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { explain } from './explain.ts';
import { changeUsers } from './change-users.ts';
import { loadUsers, parseUsers } from './users.ts';

const HASH = '$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNoaGFzaA';
/** In a flow mapping its commas would end it. */
const QUOTED = `"${HASH}"`;

let folder: string;
let file: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'posthorn-users-'));
  file = join(folder, 'users.yaml');
});
afterEach(() => rmSync(folder, { recursive: true }));

function problemsIn(text: string): string {
  const result = parseUsers(text, 'users.yaml');
  return result.ok ? 'valid' : explain(result.problems);
}

describe('reading', () => {
  it('a missing file has nobody in it, and so has an empty one', () => {
    expect(loadUsers(file)).toEqual({ ok: true, users: [] });
    writeFileSync(file, '# nobody yet\n');
    expect(loadUsers(file)).toEqual({ ok: true, users: [] });
  });
  it('gives names, hashes, addresses and quotas', () => {
    const result = parseUsers(
      `alice: { password: ${QUOTED}, addresses: [a@example.org], quotaBytes: 1KiB }\nbob: { password: ${QUOTED} }`,
      'u',
    );
    expect(result).toEqual({
      ok: true,
      users: [
        { name: 'alice', passwordHash: HASH, addresses: ['a@example.org'], quotaBytes: 1024 },
        { name: 'bob', passwordHash: HASH, addresses: [] },
      ],
    });
  });
  it('a password in clear is refused and never shown', () => {
    const text = problemsIn('alice:\n  password: hunter2\n');
    expect(text).toBe('users.yaml:2:13: alice.password: expected an argon2id hash, as `posthorn user add` writes it\n');
  });
  it('keys of SCRAM, a secret and certificates are read, without a password too', () => {
    const keys = Array.from({ length: 2 }, () => `${'A'.repeat(43)}=`).join(':');
    const scram = ['SCRAM-SHA-256', '60000:c2FsdHNhbHRzYWx0', keys].join('$');
    const print = Array.from({ length: 32 }, () => 'AB').join(':');
    const result = parseUsers(`carol: { scram: "${scram}", secret: hunter2hunter2, certificates: ["${print}"] }`, 'u');
    const carol = { name: 'carol', scram, secret: 'hunter2hunter2', certificates: [print], addresses: [] };
    expect(result).toEqual({ ok: true, users: [carol] });
  });
  it('an empty list of certificates is one: by no certificate', () => {
    const carol = { name: 'carol', certificates: [], addresses: [] };
    expect(parseUsers('carol: { certificates: [] }', 'u')).toEqual({ ok: true, users: [carol] });
  });
  it('sendAs takes addresses, whole domains and any sender, and nothing else', () => {
    const result = parseUsers('alice: { sendAs: [boss@example.net, "@example.com", "*"] }', 'u');
    expect(result).toEqual({
      ok: true,
      users: [{ name: 'alice', addresses: [], sendAs: ['boss@example.net', '@example.com', '*'] }],
    });
    for (const wrong of ['[]', '[bob]', '["*@example.org", "@"]', '["a b@example.org"]', 'all'])
      expect(problemsIn(`alice: { sendAs: ${wrong} }`)).toContain('users.yaml:1:');
  });
  it('keys of SCRAM with too few iterations are refused', () => {
    const keys = Array.from({ length: 2 }, () => `${'A'.repeat(43)}=`).join(':');
    const text = problemsIn(`alice: { scram: "${['SCRAM-SHA-256', '1000:c2FsdHNhbHRzYWx0', keys].join('$')}" }`);
    expect(text).toMatch(/alice\.scram: expected keys of SCRAM-SHA-256/);
  });
  it('a secret or keys that are none are never shown', () => {
    const text = problemsIn('alice:\n  secret: hunter2\n  scram: hunter3\n');
    expect(text).toMatch(/alice\.secret: expected a password of 8 to 255 characters of ASCII/);
    expect(text).toMatch(/alice\.scram: expected keys of SCRAM-SHA-256/);
    expect(text).not.toMatch(/hunter/);
  });
  it('a hash without quotes in a flow mapping is a problem that shows no part of it', () => {
    const text = problemsIn(`alice: { password: ${HASH} }`);
    expect(text).toMatch(/alice\.password: expected an argon2id hash/);
    expect(text).not.toMatch(/c2Fsd|aGFz/);
  });
  it.each(['../alice', 'a/b', '.hidden', '"a b"', '""', '"a\\nb"', 'a@b@c', '"-rf"'])('the name %s is refused', (name) => {
    expect(problemsIn(`${name}: { password: ${QUOTED} }`)).toMatch(/expected a name such as alice/);
  });
  it('one address has one user, one name one spelling', () => {
    const text = problemsIn(
      `alice: { password: ${QUOTED}, addresses: [a@example.org] }\nbob: { password: ${QUOTED}, addresses: [A@EXAMPLE.org] }\nAlice: { password: ${QUOTED} }`,
    );
    expect(text).toMatch(/users\.yaml:2:\d+: bob\.addresses\[0\]: this address is alice's already/);
    expect(text).toMatch(/users\.yaml:3:1: Alice: is the same name as alice/);
    expect(text).not.toContain('c2Fsd');
  });
  // Who logs in by an address is looked up by name first: the name took the address over.
  it.each(['boss@example.org', '"boss"@example.org', 'Boss@EXAMPLE.org'])(
    'the address %s of one is no name of another',
    (address) => {
      const text = problemsIn(`boss@example.org: {}\nalice: { addresses: ['${address}'] }`);
      expect(text).toContain('users.yaml:2:22: alice.addresses[0]: this address is the name of the user boss@example.org\n');
      expect(problemsIn(`boss@example.org: { addresses: ['${address}'] }`)).toBe('valid');
    },
  );
  it('a name in A-labels is the address of another in UTF-8', () => {
    const text = problemsIn('alice: { addresses: [boss@münchen.example] }\nboss@xn--mnchen-3ya.example: {}');
    expect(text).toContain('this address is the name of the user boss@xn--mnchen-3ya.example');
  });
});

describe('writing', () => {
  it('makes a file that only its owner may read, and leaves nothing else behind', () => {
    changeUsers(file, { add: { name: 'alice', passwordHash: HASH, addresses: ['alice@example.org'] } });
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(readdirSync(folder)).toEqual(['users.yaml']);
    expect(loadUsers(file)).toEqual({
      ok: true,
      users: [{ name: 'alice', passwordHash: HASH, addresses: ['alice@example.org'] }],
    });
  });
  it('keeps comments and order', () => {
    writeFileSync(file, `# who works here\nalice: # since May\n  password: ${HASH}\nbob:\n  password: ${HASH}\n`);
    changeUsers(file, { add: { name: 'carol', passwordHash: HASH, addresses: [] } });
    changeUsers(file, { remove: 'bob' });
    const text = readFileSync(file, 'utf8');
    expect(text).toContain('# who works here');
    expect(text).toContain('# since May');
    expect(text.indexOf('alice')).toBeLessThan(text.indexOf('carol'));
    expect(text).not.toContain('bob');
  });
  it('keeps the comment of a file that had nobody in it', () => {
    writeFileSync(file, '# nobody yet\n');
    changeUsers(file, { add: { name: 'alice', passwordHash: HASH, addresses: [] } });
    expect(readFileSync(file, 'utf8')).toContain('# nobody yet');
  });
  it('leaves an invalid file alone, and refuses a change that would make one', () => {
    writeFileSync(file, 'alice: 7\n');
    expect(changeUsers(file, { remove: 'alice' }).ok).toBe(false);
    expect(readFileSync(file, 'utf8')).toBe('alice: 7\n');
    rmSync(file);
    changeUsers(file, { add: { name: 'alice', passwordHash: HASH, addresses: ['x@example.org'] } });
    const taken = changeUsers(file, { add: { name: 'bob', passwordHash: HASH, addresses: ['X@example.org'] } });
    expect(taken.ok).toBe(false);
    expect(readFileSync(file, 'utf8')).not.toContain('bob');
  });
  it('adds no user over another, whatever the case', () => {
    changeUsers(file, { add: { name: 'alice', passwordHash: HASH, addresses: [] } });
    const before = readFileSync(file, 'utf8');
    expect(() => changeUsers(file, { add: { name: 'Alice', passwordHash: HASH, addresses: [] } })).toThrow(/user alice already/);
    expect(readFileSync(file, 'utf8')).toBe(before);
  });
  it('changes what is there at that moment, and brings nobody back', () => {
    changeUsers(file, { add: { name: 'alice', passwordHash: HASH, addresses: ['alice@example.org'] } });
    changeUsers(file, { edit: 'ALICE', to: (user) => ({ ...user, addresses: [...user.addresses, 'a@example.org'] }) });
    changeUsers(file, { edit: 'alice', to: (user) => ({ ...user, secret: 'eight or more' }) });
    expect(loadUsers(file)).toMatchObject({
      users: [{ name: 'alice', secret: 'eight or more', addresses: ['alice@example.org', 'a@example.org'] }],
    });
    changeUsers(file, { remove: 'Alice' });
    expect(() => changeUsers(file, { edit: 'alice', to: (user) => user })).toThrow(/there is no user alice in /);
    expect(() => changeUsers(file, { remove: 'alice' })).toThrow(/there is no user alice in /);
    expect(loadUsers(file)).toEqual({ ok: true, users: [] });
  });
  it('writes through a link, which stays one', () => {
    mkdirSync(join(folder, 'real'));
    writeFileSync(join(folder, 'real/users.yaml'), '');
    symlinkSync('real/users.yaml', file);
    changeUsers(file, { add: { name: 'alice', passwordHash: HASH, addresses: [] } });
    expect(lstatSync(file).isSymbolicLink()).toBe(true);
    expect(readFileSync(join(folder, 'real/users.yaml'), 'utf8')).toContain('alice');
    expect(readdirSync(join(folder, 'real'))).toEqual(['users.yaml']);
  });
  it('loses nothing when several processes add users at once', async () => {
    const users = join(import.meta.dirname, '../dist/change-users.js');
    const add = (name: string) =>
      `import { changeUsers } from ${JSON.stringify(users)};
       for (const n of [1, 2, 3, 4, 5])
         changeUsers(${JSON.stringify(file)}, { add: { name: '${name}' + n, passwordHash: ${JSON.stringify(HASH)}, addresses: [] } });`;
    const run = promisify(execFile);
    await Promise.all(['a', 'b', 'c'].map((name) => run(process.execPath, ['--input-type=module', '-e', add(name)])));
    const read = loadUsers(file);
    expect(read.ok ? read.users.length : read.problems).toBe(15);
    expect(readdirSync(folder)).toEqual(['users.yaml']);
  });
  it('takes over from a process that was killed in the midst of it', () => {
    const { pid } = spawnSync(process.execPath, ['-e', '']);
    symlinkSync(String(pid), `${file}.lock`);
    expect(changeUsers(file, { add: { name: 'alice', passwordHash: HASH, addresses: [] } }).ok).toBe(true);
    expect(readdirSync(folder)).toEqual(['users.yaml']);
  });
  it('a name such as 1 or true stays a name', () => {
    for (const name of ['1', 'true', 'null']) {
      changeUsers(file, { add: { name, passwordHash: HASH, addresses: [] } });
      const read = loadUsers(file);
      expect(read.ok && read.users.some((user) => user.name === name)).toBe(true);
    }
  });
  it('says which file cannot be written, and why, when the folder is not there', () => {
    expect(() => changeUsers(join(folder, 'none/users.yaml'), { add: { name: 'a', passwordHash: HASH, addresses: [] } })).toThrow(
      /none\/users\.yaml: cannot be written: ENOENT: no such file or directory$/,
    );
  });
});
