/** Dovecot and Posthorn on the same Maildirs at once: both deliver, both serve sessions that fetch and delete. */
import { chmodSync, chownSync, existsSync, mkdirSync, readdirSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Dovecot, mailOwner, startDovecot } from '../lib/peers/dovecot.ts';
import { writeMaildir } from '../lib/maildir.ts';
import { findProgram, missing, program } from '../lib/peers/install.ts';
import { run } from '../lib/process.ts';
import { DOMAIN, maildirOf, type Posthorn, startPosthorn } from '../lib/server.ts';
import { sayAll, type Talk, talkTo } from '../lib/talk.ts';

const PASSWORD = 'correct-horse-1';
const USERS = ['turns', 'stable', 'at-once'];
const LDA = ['/usr/lib/dovecot/dovecot-lda', '/usr/libexec/dovecot/dovecot-lda'].find((path) => existsSync(path));

const absent = missing(['dovecot-pop3d']);
const canRun = absent.length === 0 && LDA !== undefined && process.getuid?.() === 0 && findProgram('setpriv') !== undefined;
if (!canRun) console.warn('NOT TESTED: Dovecot and Posthorn on one Maildir: needs dovecot-pop3d, setpriv and root');

interface Fetched {
  /** The number that stands in each message's Subject. */
  readonly ids: string[];
  readonly uidls: string[];
}

/** One POP3 session that fetches all there is; what it fetched counts when its QUIT was answered. */
async function fetchAll(port: number, user: string, then: 'delete' | 'keep'): Promise<Fetched | 'in-use' | 'cut'> {
  const talk = await talkTo(port);
  try {
    await sayAll(talk, [[`USER ${user}`, '+OK']]);
    const login = await talk.say(`PASS ${PASSWORD}`);
    if (!login.startsWith('+OK')) return 'in-use';
    const listed = await listOf(talk, 'LIST');
    const uidls = (await listOf(talk, 'UIDL')).map((line) => line.split(' ')[1]!);
    const ids: string[] = [];
    for (const line of listed) {
      const [number, size] = line.split(' ');
      const lines = await listOf(talk, `RETR ${number}`);
      // The other server's client was faster.
      if (lines.length === 0) continue;
      const octets = lines.reduce((sum, text) => sum + Buffer.byteLength(text) + 2, 0);
      expect(`${number} ${octets}`).toBe(`${number} ${size}`);
      ids.push(/^Subject: (\S+)$/m.exec(lines.join('\n'))![1]!);
      if (then === 'delete') await sayAll(talk, [[`DELE ${number}`, '+OK']]);
    }
    await sayAll(talk, [['QUIT', '+OK']]);
    return { ids, uidls };
  } catch (error) {
    // Dovecot closes when it finds a message gone that it has listed.
    if (String(error).includes('the server closed')) return 'cut';
    throw error;
  } finally {
    talk.leave();
  }
}

/** The lines of a reply, dots taken off; none after -ERR. */
async function listOf(talk: Talk, line: string): Promise<string[]> {
  const lines: string[] = [];
  if (!(await talk.say(line)).startsWith('+OK')) return lines;
  for (let next = await talk.hear(); next !== '.'; next = await talk.hear()) lines.push(next.replace(/^\./, ''));
  return lines;
}

const messageOf = (id: string) => `From: a@example.test\r\nSubject: ${id}\r\n\r\n.\r\nbody of ${id}\r\n`;

describe.skipIf(!canRun)('Dovecot and Posthorn on one Maildir', () => {
  let posthorn: Posthorn;
  let dovecot: Dovecot;
  let written = 0;

  beforeAll(async () => {
    const owner = mailOwner();
    const chown = (folder: string): void => {
      mkdirSync(folder, { recursive: true });
      chownSync(folder, owner.uid, owner.gid);
    };
    posthorn = await startPosthorn({
      listener: { plaintextLogin: 'loopback' },
      users: Object.fromEntries(USERS.map((user) => [user, PASSWORD])),
      wrap: (command) => {
        // As the user that Dovecot is for these mailboxes, which never is root.
        const folder = dirname(command.at(-1)!);
        chmodSync(folder, 0o755);
        for (const name of ['.', ...readdirSync(folder)]) chownSync(join(folder, name), owner.uid, owner.gid);
        return ['setpriv', `--reuid=${owner.uid}`, `--regid=${owner.gid}`, '--clear-groups', ...command];
      },
    });
    // No mailbox is made by the test's own user.
    chown(join(posthorn.dataFolder, 'mail'));
    for (const user of USERS) {
      chown(dirname(maildirOf(posthorn, user)));
      writeMaildir(maildirOf(posthorn, user), [], owner);
    }
    dovecot = await startDovecot({
      users: USERS,
      password: PASSWORD,
      mail: () => [],
      settings: `
mail_location = maildir:${posthorn.dataFolder}/mail/%u/Maildir
maildir_very_dirty_syncs = no
pop3_uidl_format = %f
`,
    });
  });
  afterAll(async () => {
    await dovecot.stop();
    await posthorn.stop();
    posthorn.remove();
  });

  const deliver = {
    async posthorn(user: string, id: string): Promise<void> {
      const talk = await talkTo(posthorn.ports.smtp);
      const text = messageOf(id).replaceAll('\r\n.', '\r\n..');
      await sayAll(talk, [
        ['EHLO client.example.test', '250'],
        ['MAIL FROM:<a@example.test>', '250'],
        [`RCPT TO:<${user}@${DOMAIN}>`, '250'],
        ['DATA', '354'],
        [`${text}.`, '250'],
        ['QUIT', '221'],
      ]);
    },
    async dovecot(user: string, id: string): Promise<void> {
      const input = messageOf(id).replaceAll('\r\n', '\n');
      await run([LDA!, '-e', '-c', dovecot.configFile, '-d', user], { input });
    },
    /** As procmail and others do: no sizes in the name, LF. */
    async byHand(user: string, id: string): Promise<void> {
      const maildir = maildirOf(posthorn, user);
      const { uid, gid } = mailOwner();
      const name = `${Math.floor(Date.now() / 1000)}.${process.pid}_${++written}.byhand`;
      writeFileSync(join(maildir, 'tmp', name), messageOf(id).replaceAll('\r\n', '\n'));
      chownSync(join(maildir, 'tmp', name), uid, gid);
      renameSync(join(maildir, 'tmp', name), join(maildir, 'new', name));
    },
  };

  /** So many by each of the ways, all at once. @returns their ids; all are there when it resolves, but Posthorn's may follow. */
  async function deliverAll(user: string, each: number): Promise<string[]> {
    const ids: string[] = [];
    const ways = Object.entries(deliver).map(async ([way, one]) => {
      for (let number = 0; number < each; number++) {
        const id = `${user}-${way}-${number}`;
        ids.push(id);
        await one(user, id);
      }
    });
    await Promise.all(ways);
    return ids.sort();
  }

  const session = async (port: number, user: string, then: 'delete' | 'keep'): Promise<Fetched> => {
    const fetched = await fetchAll(port, user, then);
    if (typeof fetched === 'string') throw new Error(`the session was ${fetched}`);
    return fetched;
  };

  it('in turns: each message is shown once, by one of them, and none is lost', async () => {
    await deliver.byHand('turns', 'turns-first');
    const seen: string[] = [];
    const delivery = deliverAll('turns', 8);
    let isDelivered = false;
    void delivery.then(() => (isDelivered = true));
    for (let empty = 0, turn = 0; empty < 4; turn++) {
      const wasDelivered = isDelivered;
      const { ids } = await session(turn % 2 === 0 ? posthorn.ports.pop3 : dovecot.port, 'turns', 'delete');
      seen.push(...ids);
      // Posthorn delivers after its 250.
      empty = wasDelivered && ids.length === 0 && seen.length >= 25 ? empty + 1 : 0;
    }
    expect(seen.sort()).toEqual([...(await delivery), 'turns-first'].sort());
  }, 60_000);

  it('keeps the UIDLs of each while the other one moves the messages and marks them', async () => {
    const ids = await deliverAll('stable', 3);
    let first = await session(posthorn.ports.pop3, 'stable', 'keep');
    while (first.ids.length < ids.length) first = await session(posthorn.ports.pop3, 'stable', 'keep');
    expect([...first.ids].sort()).toEqual(ids);
    expect(new Set(first.uidls).size).toBe(ids.length);
    const theirs = await session(dovecot.port, 'stable', 'keep');
    const marks = ['flags', 'add', '-u', 'stable', '\\Seen', 'mailbox', 'INBOX', 'all'];
    await run([program('doveadm'), '-c', dovecot.configFile, ...marks]);
    const names = ['new', 'cur'].flatMap((folder) => readdirSync(join(maildirOf(posthorn, 'stable'), folder)));
    expect(names.filter((name) => name.endsWith(':2,S'))).toHaveLength(ids.length);
    expect(await session(posthorn.ports.pop3, 'stable', 'keep')).toEqual(first);
    expect(await session(dovecot.port, 'stable', 'keep')).toEqual(theirs);
    // What docs/operations.md says of its pop3_uidl_format: the same names, with sizes behind.
    expect(theirs.uidls.map((uidl) => uidl.replace(/,.*/, '')).sort()).toEqual([...first.uidls].sort());
  }, 60_000);

  it('at the same time: none is lost, and neither shows again what it deleted', async () => {
    await deliver.byHand('at-once', 'at-once-first');
    const delivery = deliverAll('at-once', 12);
    let isDelivered = false;
    void delivery.then(() => (isDelivered = true));
    const all = new Set<string>();
    const drain = async (port: number): Promise<string[]> => {
      const seen: string[] = [];
      for (let empty = 0; empty < 3;) {
        const wasDelivered = isDelivered;
        const fetched = await fetchAll(port, 'at-once', 'delete');
        if (typeof fetched === 'string') continue;
        seen.push(...fetched.ids);
        for (const id of fetched.ids) all.add(id);
        empty = wasDelivered && fetched.ids.length === 0 && all.size >= 37 ? empty + 1 : 0;
      }
      return seen;
    };
    const [ours, theirs] = await Promise.all([drain(posthorn.ports.pop3), drain(dovecot.port)]);
    expect([...all].sort()).toEqual([...(await delivery), 'at-once-first'].sort());
    expect(new Set(ours).size).toBe(ours.length);
    expect(new Set(theirs).size).toBe(theirs.length);
    const maildir = maildirOf(posthorn, 'at-once');
    expect([readdirSync(join(maildir, 'new')), readdirSync(join(maildir, 'cur'))]).toEqual([[], []]);
  }, 60_000);
});
