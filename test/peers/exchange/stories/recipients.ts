/** Many recipients, and what becomes of each. */
import { messageOf } from '../../message.ts';
import { OURS, type Rig, SMALL_MAX_RECIPIENTS, THEIRS } from '../rig.ts';
import { crowd, isBounce, linesAbout, must, mustMatch, same, type Story } from '../story.ts';

export const recipientStories: readonly Story[] = [
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
];

function sumOfRecipients(rig: Rig, from: number, reversePath: string): number {
  return rig.log
    .all('smtp.accepted')
    .slice(from)
    .filter((line) => line['reversePath'] === reversePath)
    .reduce((sum, line) => sum + Number(line['recipients']), 0);
}
