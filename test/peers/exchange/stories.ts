/**
 * What mail servers of others and Posthorn must be able to do with each other's mail, both ways: a table of stories, each
 * told to every peer. `interop.ts` runs all of them and prints the table of docs/interop.md, `exchange.test.ts` the quick ones.
 */
import { sayAll, talkTo } from '../../lib/talk.ts';
import { compareBelowTrace } from '../../lib/trace-headers.ts';
import { bigMessage, messageOf } from './message.ts';
import {
  OURS,
  PEER_MAX_BYTES,
  type PeerName,
  type Rig,
  SMALL_MAX_BYTES,
  SMALL_MAX_RECIPIENTS,
  THEIRS,
  unicodeOf,
} from './rig.ts';

export type Way = 'to Posthorn' | 'from Posthorn';

export interface Story {
  /** Also the user of the story, with blanks as dashes. */
  readonly name: string;
  readonly way: Way;
  /** Runs with `npm test` too. */
  readonly quick?: true;
  /** What Debian's peer can't do, which is no fault and no skip. */
  readonly beyond?: Partial<Record<PeerName, string>>;
  /** @returns what was seen */
  run(rig: Rig, user: string): Promise<string>;
}

export const userOf = ({ name, way }: Story): string =>
  `${way.split(' ')[0]}-${name.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-')}`;

/** @throws Error with what differs */
function same(arrived: Buffer, sent: Buffer): string {
  const compared = compareBelowTrace(arrived, sent);
  if ('differs' in compared) throw new Error(compared.differs);
  return compared.added.join(', ');
}

/** The trace field of the last server, on one line. */
function received(message: Buffer): string {
  const field = /^Received:(?:[^\r\n]*)(?:\r\n[ \t][^\r\n]*)*/m.exec(message.toString('latin1'))?.[0];
  return field?.replaceAll(/\s+/g, ' ') ?? '';
}

function must(condition: boolean, text: string): void {
  if (!condition) throw new Error(text);
}

function mustMatch(text: string, pattern: RegExp): string {
  const found = pattern.exec(text);
  if (found === null) throw new Error(`${String(pattern)} not in: ${text.slice(0, 3000)}`);
  return found[0];
}

/** More mailboxes than the listener for small messages takes recipients at once. */
const crowd = Array.from({ length: SMALL_MAX_RECIPIENTS + 10 }, (_, index) => `crowd-${index}`);

/** Gets smuggled mail, if there is any. */
const VICTIM = 'victim';

/** What some server once took for the end of a message. */
const ENDS_OF_OTHERS = [
  '\n.\n',
  '\n.\r\n',
  '\r\n.\n',
  '\r.\r',
  '\r.\r\n',
  '\r\n.\r',
  '\n.\r',
  '\r.\n',
  '\r\r\n.\r\r\n',
  '\r\n.\r\r\n',
  '\n\r.\n\r',
  '\r\n\0.\r\n',
  '\r\n.\0\r\n',
  '\r\0\n.\r\n',
  '\r\n.\r\0\n',
  '\0\r\n.\0\r\n',
  '\r\n. \r\n',
  '\r\n..\r\n',
  '\x0b.\x0b',
  '\x85.\x85',
];

const NO_SMTPUTF8 = 'does not know SMTPUTF8';

/** Everything that RFC 3461 lets a sender ask for; the original recipient is another one than the message goes to. */
const ASKS_ALL = {
  mailParameters: 'BODY=8BITMIME RET=HDRS ENVID=envelope-17',
  rcptParameters: 'NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;first@sender.test',
} as const;

/** The only message of a user, a notice, as text. */
async function noticeFor(rig: Rig, user: string): Promise<string> {
  const [notice] = (await rig.mailHere(user)) as [Buffer];
  return notice.toString('utf8');
}

/** @returns who told it, and what of it was kept */
function mustTell(notice: string, action: string): string {
  must(isBounce(notice), 'not from nobody');
  const reporter = mustMatch(notice, /Reporting-MTA: *dns; *\S+/i).replace(/.*; */, '');
  const told = mustMatch(notice, new RegExp(`^Action: *(${action})`, 'im'));
  const kept = [
    /^Original-Envelope-Id: *envelope-17\r?$/im.test(notice) ? 'ENVID' : '',
    /^Original-Recipient: *rfc822; *first@sender\.test\r?$/im.test(notice) ? 'ORCPT' : '',
  ].filter(Boolean);
  return `${told.replace(/.*: */, '')}, told by ${reporter}, with ${kept.join(' and ') || 'neither ENVID nor ORCPT'}`;
}

const toPosthorn: Story[] = [
  {
    name: 'plain',
    way: 'to Posthorn',
    quick: true,
    async run(rig, user) {
      const message = messageOf(user);
      await rig.viaPeer({ from: 'a@sender.test', to: [`${user}@${OURS.plain}`], mailParameters: 'BODY=8BITMIME', message });
      const [arrived] = (await rig.mailHere(user)) as [Buffer];
      same(arrived, message);
      return `byte for byte, ${mustMatch(received(arrived), /with ESMTP\b/)}`;
    },
  },
  {
    name: 'TLS resumed',
    way: 'to Posthorn',
    quick: true,
    async run(rig, user) {
      const message = messageOf(user);
      const send = () =>
        rig.viaPeer({ from: 'a@sender.test', to: [`${user}@${OURS.tls}`], mailParameters: 'BODY=8BITMIME', message });
      await send();
      await rig.mailHere(user);
      await send();
      const arrived = await rig.mailHere(user, 2);
      for (const one of arrived) {
        same(one, message);
        mustMatch(received(one), /with ESMTPS\b/);
      }
      if (rig.peerName === 'OpenSMTPD') return 'certificate verified; it keeps no sessions';
      const resumed = { Postfix: /Reusing old session|re-using session/i, Exim: /X=TLS1\.3\S*\*/ }[rig.peerName];
      mustMatch(rig.peer.log(), resumed);
      return 'certificate verified, session resumed';
    },
  },
  {
    name: 'AUTH',
    way: 'to Posthorn',
    quick: true,
    async run(rig, user) {
      // The peer's login is the user of the first story: From and MAIL must be his.
      const from = `${userOf(stories[0]!)}@${OURS.tls}`;
      const message = messageOf(user, { from });
      await rig.viaPeer({ from, to: [`${user}@${OURS.login}`], mailParameters: 'BODY=8BITMIME', message });
      const [arrived] = (await rig.mailHere(user)) as [Buffer];
      same(arrived, message);
      mustMatch(received(arrived), /with ESMTPSA\b/);
      return 'with ESMTPSA';
    },
  },
  {
    name: 'SIZE refused',
    way: 'to Posthorn',
    quick: true,
    async run(rig, user) {
      const from = `${user}@${OURS.tls}`;
      await rig.viaPeer({ from, to: [`x@${OURS.small}`], message: bigMessage(user, SMALL_MAX_BYTES * 2, from) });
      const [bounce] = (await rig.mailHere(user)) as [Buffer];
      return `bounced: ${mustMatch(bounce.toString('latin1'), /552[ -]5\.3\.4|5\.3\.4|[^\r\n:]*(size exceeds|too large)[^\r\n]*/i)}`;
    },
  },
  {
    name: 'SMTPUTF8',
    way: 'to Posthorn',
    quick: true,
    beyond: { OpenSMTPD: NO_SMTPUTF8 },
    async run(rig, user) {
      const message = messageOf(user, { subject: 'Grüße an die Welt' });
      const to = [`${unicodeOf(user)}@${OURS.tls}`];
      await rig.viaPeer({ from: 'jörg@sender.test', to, mailParameters: 'BODY=8BITMIME SMTPUTF8', message });
      const [arrived] = (await rig.mailHere(user)) as [Buffer];
      same(arrived, message);
      return mustMatch(received(arrived), /with UTF8SMTPS\b/);
    },
  },
  {
    name: 'many recipients, some refused',
    way: 'to Posthorn',
    async run(rig, user) {
      const from = `${user}@${OURS.tls}`;
      const good = crowd.map((one) => `${one}@${OURS.tls}`);
      const bad = Array.from({ length: 20 }, (_, index) => `nobody-${index}@${OURS.tls}`);
      const message = messageOf(user, { from });
      const before = rig.log.all('smtp.accepted').length;
      await rig.viaPeer({ from, to: [...good.slice(0, 50), ...bad, ...good.slice(50)], message });
      await rig.log.until(() => sumOfRecipients(rig, before, from) >= good.length);
      must(sumOfRecipients(rig, before, from) === good.length, `${sumOfRecipients(rig, before, from)} recipients`);
      await rig.until(user, (texts) => bad.every((one) => texts.some((text) => isBounce(text) && text.includes(one))));
      return `${good.length} taken, ${bad.length} bounced`;
    },
  },
  {
    name: 'recipients over the limit wait',
    way: 'to Posthorn',
    beyond: {
      Exim: 'closes its second transaction without reading the answers, and sends it again: the mail arrives, some of it twice',
      OpenSMTPD: 'tries the rest again after more than a minute',
    },
    async run(rig, user) {
      const to = crowd.map((one) => `${one}@${OURS.small}`);
      const before = rig.log.all('smtp.accepted').length;
      const from = `${user}@${OURS.tls}`;
      await rig.viaPeer({ from, to, message: messageOf(user) });
      await rig.log.until(() => sumOfRecipients(rig, before, from) >= to.length, 60_000);
      must(sumOfRecipients(rig, before, from) === to.length, `${sumOfRecipients(rig, before, from)} recipients`);
      const parts = rig.log
        .all('smtp.accepted')
        .slice(before)
        .filter((line) => line['reversePath'] === from);
      return `${to.length} in ${parts.length} transactions of at most ${SMALL_MAX_RECIPIENTS}`;
    },
  },
  {
    name: 'message of 20 MB',
    way: 'to Posthorn',
    async run(rig, user) {
      const message = bigMessage(user, 20_000_000);
      await rig.viaPeer({ from: 'a@sender.test', to: [`${user}@${OURS.tls}`], message });
      const [arrived] = (await rig.mailHere(user)) as [Buffer];
      same(arrived, message);
      return `${message.length} bytes, the same`;
    },
  },
  {
    name: 'CHUNKING',
    way: 'to Posthorn',
    quick: true,
    beyond: { Postfix: 'sends by DATA alone', OpenSMTPD: 'sends by DATA alone' },
    async run(rig, user) {
      const message = messageOf(user);
      const to = [`${user}@${OURS.tls}`];
      await rig.viaPeer({ from: 'a@sender.test', to, mailParameters: 'BODY=8BITMIME', message });
      const [arrived] = (await rig.mailHere(user)) as [Buffer];
      same(arrived, message);
      mustMatch(linesAbout(rig.peer.log(), user, '=>'), / K /);
      return 'by BDAT, byte for byte';
    },
  },
  {
    name: 'PRDR',
    way: 'to Posthorn',
    quick: true,
    beyond: { Postfix: 'does not know PRDR', OpenSMTPD: 'does not know PRDR' },
    async run(rig, user) {
      const to = [`${user}+1@${OURS.tls}`, `${user}+2@${OURS.tls}`];
      await rig.viaPeer({ from: 'a@sender.test', to, message: messageOf(user) });
      await rig.until(user, (texts) => texts.length > 0);
      mustMatch(linesAbout(rig.peer.log(), user, '=>'), / PRDR /);
      return 'a verdict for each recipient';
    },
  },
  {
    name: 'PIPECONNECT',
    way: 'to Posthorn',
    quick: true,
    beyond: { Postfix: 'does not know PIPECONNECT', OpenSMTPD: 'does not know PIPECONNECT' },
    async run(rig, user) {
      // The first connection learns that it is offered, for plain and for TLS; a later one does not wait for the banner.
      const send = () => rig.viaPeer({ from: 'a@sender.test', to: [`${user}@${OURS.plain}`], message: messageOf(user) });
      for (let count = 1; count <= 2; count++) {
        await send();
        await rig.mailHere(user, count);
      }
      mustMatch(linesAbout(rig.peer.log(), user, '=>'), / L\* /);
      return 'the second message without waiting for the banner';
    },
  },
  {
    name: 'DSN of success',
    way: 'to Posthorn',
    quick: true,
    async run(rig, user) {
      // The sender's mailbox is here too, so the notice comes back whichever of the two writes it.
      const from = `${user}@${OURS.tls}`;
      const to = [`${crowd[0]}@${OURS.tls}`];
      await rig.viaPeer({ from, to, ...ASKS_ALL, message: messageOf(user, { from }) });
      return mustTell(await noticeFor(rig, user), 'delivered');
    },
  },
];

const fromPosthorn: Story[] = [
  {
    name: 'plain',
    way: 'from Posthorn',
    quick: true,
    async run(rig, user) {
      const message = messageOf(user);
      await rig.viaPosthorn({ from: 'a@sender.test', to: [`${user}@${THEIRS.plain}`], mailParameters: 'BODY=8BITMIME', message });
      const [arrived] = (await rig.mailThere(user)) as [Buffer];
      same(arrived, message);
      return `byte for byte, ${mustMatch(received(arrived), /with E?SMTP\b/i)}`;
    },
  },
  {
    name: 'TLS',
    way: 'from Posthorn',
    quick: true,
    async run(rig, user) {
      const message = messageOf(user);
      await rig.viaPosthorn({ from: 'a@sender.test', to: [`${user}@${THEIRS.tls}`], mailParameters: 'BODY=8BITMIME', message });
      const [arrived] = (await rig.mailThere(user)) as [Buffer];
      same(arrived, message);
      if (rig.peerName === 'OpenSMTPD') {
        // In Debian 12 it loses its own key under OpenSSL 3, with `openssl s_client` too: opportunistic TLS goes on without.
        mustMatch(rig.peer.log(), /SSL_accept: error:[^\n]*missing private key/);
        mustMatch(received(arrived), /with ESMTP\b/);
        return 'its handshake fails with every client (missing private key); byte for byte without TLS';
      }
      return `byte for byte, ${mustMatch(received(arrived), /TLSv?1\.\d/i)}`;
    },
  },
  {
    name: 'AUTH',
    way: 'from Posthorn',
    quick: true,
    beyond: {
      Postfix: 'has AUTH only with a Dovecot or saslauthd beside it',
      OpenSMTPD: 'its TLS server is broken in Debian 12',
    },
    async run(rig, user) {
      const message = messageOf(user);
      await rig.viaPosthorn({ from: 'a@sender.test', to: [`${user}@${THEIRS.login}`], mailParameters: 'BODY=8BITMIME', message });
      const [arrived] = (await rig.mailThere(user)) as [Buffer];
      same(arrived, message);
      mustMatch(received(arrived), /with esmtpsa/);
      return 'PLAIN, implicit TLS';
    },
  },
  {
    name: 'SIZE refused',
    way: 'from Posthorn',
    async run(rig, user) {
      const from = `${user}@${OURS.tls}`;
      const message = bigMessage(user, PEER_MAX_BYTES + 500_000, from);
      await rig.viaPosthorn({ from, to: [`${user}@${THEIRS.tls}`], message });
      const [bounce] = (await rig.mailHere(user)) as [Buffer];
      return `bounced: ${mustMatch(bounce.toString('latin1'), /Status: 5\.3\.4/)}`;
    },
  },
  {
    name: 'SMTPUTF8',
    way: 'from Posthorn',
    quick: true,
    async run(rig, user) {
      const from = `${user}@${OURS.tls}`;
      const message = messageOf(user, { from, subject: 'Grüße an die Welt' });
      const to = [`${unicodeOf(user)}@${THEIRS.tls}`];
      await rig.viaPosthorn({ from, to, mailParameters: 'BODY=8BITMIME SMTPUTF8', message });
      if (rig.peerName === 'OpenSMTPD') {
        // RFC 6531 §3.2: it does not go to a host that does not offer it.
        const [bounce] = (await rig.mailHere(user)) as [Buffer];
        return `bounced, since it is not offered: ${mustMatch(bounce.toString('latin1'), /Status: 5\.6\.7/)}`;
      }
      const [arrived] = (await rig.mailThere(unicodeOf(user))) as [Buffer];
      same(arrived, message);
      return mustMatch(received(arrived), /with utf8e?smtps/i);
    },
  },
  {
    name: 'many recipients, some refused',
    way: 'from Posthorn',
    async run(rig, user) {
      const from = `${user}@${OURS.tls}`;
      const good = crowd.map((one) => `${one}@${THEIRS.tls}`);
      const bad = Array.from({ length: 20 }, (_, index) => `nobody-${index}@${THEIRS.tls}`);
      const message = messageOf(user, { from });
      await rig.viaPosthorn({
        from,
        to: [...good.slice(0, 5), ...bad, ...good.slice(5)],
        mailParameters: 'BODY=8BITMIME',
        message,
      });
      for (const address of good) {
        for (const arrived of await rig.mailThere(address.slice(0, address.indexOf('@')))) same(arrived, message);
      }
      await rig.until(user, (texts) => bad.every((one) => texts.some((text) => isBounce(text) && text.includes(one))));
      return `${good.length} taken, ${bad.length} bounced`;
    },
  },
  {
    name: 'message of 20 MB',
    way: 'from Posthorn',
    async run(rig, user) {
      const message = bigMessage(user, 20_000_000);
      await rig.viaPosthorn({ from: 'a@sender.test', to: [`${user}@${THEIRS.tls}`], message });
      const [arrived] = (await rig.mailThere(user)) as [Buffer];
      same(arrived, message);
      return `${message.length} bytes, the same`;
    },
  },
  {
    name: 'bounce back through the peer',
    way: 'from Posthorn',
    quick: true,
    async run(rig, user) {
      // The peer takes it, its next hop (Posthorn's listener for small messages) refuses it, and the peer's notice comes here.
      const from = `${user}@${OURS.tls}`;
      await rig.viaPosthorn({ from, to: [`x@${THEIRS.back}`], message: bigMessage(user, SMALL_MAX_BYTES * 2, from) });
      const [bounce] = (await rig.mailHere(user)) as [Buffer];
      must(isBounce(bounce.toString('latin1')), 'no bounce');
      return mustMatch(bounce.toString('latin1'), /multipart\/report|x@back\.test/);
    },
  },
  {
    name: 'DSN of success',
    way: 'from Posthorn',
    quick: true,
    async run(rig, user) {
      const from = `${user}@${OURS.tls}`;
      await rig.viaPosthorn({ from, to: [`${user}@${THEIRS.tls}`], ...ASKS_ALL, message: messageOf(user, { from }) });
      return mustTell(await noticeFor(rig, user), 'delivered|relayed');
    },
  },
  {
    name: 'DSN of failure',
    way: 'from Posthorn',
    quick: true,
    async run(rig, user) {
      const from = `${user}@${OURS.tls}`;
      await rig.viaPosthorn({ from, to: [`nobody@${THEIRS.tls}`], ...ASKS_ALL, message: messageOf(user, { from }) });
      return mustTell(await noticeFor(rig, user), 'failed');
    },
  },
  {
    name: 'smuggling',
    way: 'from Posthorn',
    quick: true,
    async run(rig, user) {
      // A second message behind what somebody may take for the end of the first: nobody may ever see it as one.
      const codes = new Map<string, number>();
      for (const port of Object.values(rig.listeners)) {
        for (const form of ENDS_OF_OTHERS) {
          const code = await smuggle(port, form, `${user}@${THEIRS.tls}`, `${VICTIM}@${THEIRS.tls}`);
          codes.set(code, (codes.get(code) ?? 0) + 1);
        }
      }
      const arrived = await rig.mailThere(user, codes.get('250') ?? 0);
      must(arrived.length > 0, 'none of them was taken');
      await rig.viaPosthorn({ from: 'a@sender.test', to: [`${VICTIM}@${THEIRS.tls}`], message: messageOf(user) });
      const [only] = await rig.mailThere(VICTIM, 1);
      must(!only!.includes('Subject: smuggled'), 'the smuggled message came');
      const told = [...codes].map(([code, count]) => `${count} times ${code}`).join(', ');
      return `${ENDS_OF_OTHERS.length} forms on two listeners: ${told}; no second message`;
    },
  },
];

/** @returns the code that the message got; after it only refusals may come. */
async function smuggle(port: number, form: string, to: string, victim: string): Promise<string> {
  const talk = await talkTo(port);
  try {
    await sayAll(talk, [
      ['EHLO sender.test', '250'],
      ['MAIL FROM:<a@sender.test> BODY=8BITMIME', '250'],
      [`RCPT TO:<${to}>`, '250'],
      ['DATA', '354'],
    ]);
    const second = `MAIL FROM:<evil@sender.test>\r\nRCPT TO:<${victim}>\r\nDATA\r\nSubject: smuggled\r\n\r\ntext`;
    talk.send(Buffer.from(`Subject: outer\r\n\r\ntext${form}${second}\r\n.\r\n`, 'latin1'));
    const code = (await talk.hear()).slice(0, 3);
    must(code === '250' || code === '550', `${JSON.stringify(form)}: ${code}`);
    // Were one of its lines read as a command, its reply would come before this one.
    const bye = await talk.say('QUIT');
    must(bye.startsWith('221'), `${JSON.stringify(form)}: ${bye}`);
    return code;
  } finally {
    talk.leave();
  }
}

export const stories: readonly Story[] = [...toPosthorn, ...fromPosthorn];

/** Mailboxes of both sides. */
export const users: readonly string[] = [...stories.map(userOf), ...crowd, VICTIM];

const isBounce = (text: string) => /^Return-Path: ?<>/im.test(text);

function sumOfRecipients(rig: Rig, from: number, reversePath: string): number {
  return rig.log
    .all('smtp.accepted')
    .slice(from)
    .filter((line) => line['reversePath'] === reversePath)
    .reduce((sum, line) => sum + Number(line['recipients']), 0);
}

/** Lines of a log that name a user and a mark. */
function linesAbout(log: string, user: string, mark: string): string {
  return log
    .split('\n')
    .filter((line) => line.includes(user) && line.includes(mark))
    .join('\n');
}
