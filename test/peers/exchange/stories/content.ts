/** What a message is: its bytes, its size, its characters. */
import { bigMessage, messageOf } from '../../message.ts';
import { OURS, PEER_MAX_BYTES, SMALL_MAX_BYTES, THEIRS, unicodeOf } from '../rig.ts';
import { linesAbout, mustMatch, received, same, type Story } from '../story.ts';

export const contentStories: readonly Story[] = [
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
    name: 'SIZE refused',
    way: 'to Posthorn',
    quick: ['Postfix', 'Exim'],
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
    beyond: { OpenSMTPD: 'does not know SMTPUTF8' },
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
];
