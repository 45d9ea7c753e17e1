/** What the sender is told (RFC 3461): of success, failure and delay, by whichever of the two is the last to know. */
import { bigMessage, messageOf } from '../../message.ts';
import { ALIASES, OURS, type Rig, SMALL_MAX_BYTES, THEIRS } from '../rig.ts';
import { crowd, isBounce, must, mustMatch, type Story } from '../story.ts';

/** What a sender may ask for; the original recipient is another one than the message goes to. */
const asks = (ret: 'FULL' | 'HDRS', notify: string) => ({
  mailParameters: `BODY=8BITMIME RET=${ret} ENVID=envelope-17`,
  rcptParameters: `NOTIFY=${notify} ORCPT=rfc822;first@sender.test`,
});
const ASKS_ALL = asks('HDRS', 'SUCCESS,FAILURE');
/** Part of the text of a message. */
const TEXT = 'From here it goes on';

/** The only message of a user, a notice, as text. */
async function noticeFor(rig: Rig, user: string): Promise<string> {
  const [notice] = (await rig.mailHere(user)) as [Buffer];
  return notice.toString('utf8');
}

/** @returns who told it, and what of it was kept */
function mustTell(notice: string, action: string): string {
  must(isBounce(notice), 'not from nobody');
  const reporter = mustMatch(notice, /Reporting-MTA: *dns; *\S+/i).endsWith(THEIRS.tls) ? 'the peer' : 'Posthorn';
  const told = mustMatch(notice, new RegExp(`^Action: *(${action})`, 'im'));
  const kept = [
    /^Original-Envelope-Id: *envelope-17\r?$/im.test(notice) ? 'ENVID' : '',
    /^Original-Recipient: *rfc822; *first@sender\.test\r?$/im.test(notice) ? 'ORCPT' : '',
  ].filter(Boolean);
  return `${told.replace(/.*: */, '')}, told by ${reporter}, with ${kept.join(' and ') || 'neither ENVID nor ORCPT'}`;
}

/** What came back of the message, which is what RET asked for. */
function mustReturn(notice: string, ret: 'FULL' | 'HDRS'): string {
  const whole = notice.includes(TEXT);
  must(whole === (ret === 'FULL'), `RET=${ret}, and ${whole ? 'the text came back' : 'no text'}: ${notice.slice(-3000)}`);
  return ret === 'FULL' ? 'the whole message back' : 'the header back';
}

export const noticeStories: readonly Story[] = [
  {
    name: 'DSN of success',
    way: 'to Posthorn',
    quick: ['Postfix', 'Exim'],
    async run(rig, user) {
      // The sender's mailbox is here too, so the notice comes back whichever of the two writes it.
      const from = `${user}@${OURS.tls}`;
      const to = [`${crowd[0]}@${OURS.tls}`];
      await rig.viaPeer({ from, to, ...ASKS_ALL, message: messageOf(user, { from }) });
      return mustTell(await noticeFor(rig, user), 'delivered');
    },
  },
  {
    name: 'DSN of failure',
    way: 'to Posthorn',
    quick: ['Postfix', 'Exim'],
    async run(rig, user) {
      // Posthorn takes it and is refused by the next hop, so it is told by Posthorn, with what the peer passed on.
      const from = `${user}@${OURS.tls}`;
      const to = [`${ALIASES.refused}@${OURS.tls}`];
      await rig.viaPeer({ from, to, ...asks('HDRS', 'FAILURE'), message: messageOf(user, { from }) });
      const notice = await noticeFor(rig, user);
      return `${mustTell(notice, 'failed')}, ${mustReturn(notice, 'HDRS')}`;
    },
  },
  {
    name: 'DSN of failure, RET=FULL',
    way: 'to Posthorn',
    quick: ['Postfix', 'Exim'],
    async run(rig, user) {
      const from = `${user}@${OURS.tls}`;
      const to = [`${ALIASES.refused}@${OURS.tls}`];
      await rig.viaPeer({ from, to, ...asks('FULL', 'FAILURE'), message: messageOf(user, { from }) });
      const notice = await noticeFor(rig, user);
      return `${mustTell(notice, 'failed')}, ${mustReturn(notice, 'FULL')}`;
    },
  },
  {
    name: 'DSN of delay',
    way: 'to Posthorn',
    async run(rig, user) {
      const from = `${user}@${OURS.tls}`;
      const to = [`${ALIASES.waits}@${OURS.tls}`];
      await rig.viaPeer({ from, to, ...asks('HDRS', 'DELAY'), message: messageOf(user, { from }) });
      return mustTell(await noticeFor(rig, user), 'delayed');
    },
  },
  {
    name: 'bounce back through the peer',
    way: 'from Posthorn',
    quick: ['Postfix', 'Exim'],
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
    name: 'DSN of failure, RET=FULL',
    way: 'from Posthorn',
    quick: ['Postfix', 'Exim'],
    async run(rig, user) {
      // The peer takes it and is refused by the next hop, so it is told by the peer, with what Posthorn passed on.
      const from = `${user}@${OURS.tls}`;
      const to = [`x@${THEIRS.refused}`];
      await rig.viaPosthorn({ from, to, ...asks('FULL', 'FAILURE'), message: messageOf(user, { from }) });
      const notice = await noticeFor(rig, user);
      return `${mustTell(notice, 'failed')}, ${mustReturn(notice, 'FULL')}`;
    },
  },
  {
    name: 'DSN of failure, RET=HDRS',
    way: 'from Posthorn',
    quick: ['Postfix', 'Exim'],
    beyond: { OpenSMTPD: 'sends the whole message back, whatever RET says' },
    async run(rig, user) {
      const from = `${user}@${OURS.tls}`;
      const to = [`x@${THEIRS.refused}`];
      await rig.viaPosthorn({ from, to, ...asks('HDRS', 'FAILURE'), message: messageOf(user, { from }) });
      const notice = await noticeFor(rig, user);
      return `${mustTell(notice, 'failed')}, ${mustReturn(notice, 'HDRS')}`;
    },
  },
  {
    name: 'DSN of delay',
    way: 'from Posthorn',
    beyond: { OpenSMTPD: 'keeps trying what nobody answers for, and tells of no delay within half a minute' },
    async run(rig, user) {
      const from = `${user}@${OURS.tls}`;
      const to = [`x@${THEIRS.waits}`];
      await rig.viaPosthorn({ from, to, ...asks('HDRS', 'DELAY'), message: messageOf(user, { from }) });
      return mustTell(await noticeFor(rig, user), 'delayed');
    },
  },
];
