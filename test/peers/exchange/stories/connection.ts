/** How the two talk: TLS, who proves to be whom, what is said ahead. */
import { createTransport } from 'nodemailer';
import { messageOf } from '../../message.ts';
import { OURS, THEIRS } from '../rig.ts';
import { linesAbout, LOGIN, mustMatch, received, same, type Story } from '../story.ts';

const BROKEN_TLS = 'its TLS server is broken in Debian 12';

export const connectionStories: readonly Story[] = [
  {
    name: 'TLS resumed',
    way: 'to Posthorn',
    quick: ['Postfix', 'Exim'],
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
    quick: ['Postfix', 'Exim'],
    async run(rig, user) {
      const from = `${LOGIN}@${OURS.tls}`;
      const message = messageOf(user, { from });
      await rig.viaPeer({ from, to: [`${user}@${OURS.login}`], mailParameters: 'BODY=8BITMIME', message });
      const [arrived] = (await rig.mailHere(user)) as [Buffer];
      same(arrived, message);
      mustMatch(received(arrived), /with ESMTPSA\b/);
      return 'with ESMTPSA';
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
    beyond: { OpenSMTPD: BROKEN_TLS },
    async run(rig, user) {
      const message = messageOf(user);
      await rig.viaPosthorn({ from: 'a@sender.test', to: [`${user}@${THEIRS.login}`], mailParameters: 'BODY=8BITMIME', message });
      const [arrived] = (await rig.mailThere(user)) as [Buffer];
      same(arrived, message);
      mustMatch(received(arrived), /with esmtpsa/i);
      return 'PLAIN, implicit TLS';
    },
  },
  {
    name: 'TLS resumed',
    way: 'from Posthorn',
    beyond: { OpenSMTPD: BROKEN_TLS },
    async run(rig, user) {
      // The second message goes over a connection of its own when the first one has ended for lack of mail.
      const message = messageOf(user);
      const send = () => rig.viaPosthorn({ from: 'a@sender.test', to: [`${user}@${THEIRS.tls}`], message });
      const ends = () => rig.peer.log().match(/disconnect from .*starttls=1|closed by QUIT/g)?.length ?? 0;
      const before = ends();
      await send();
      await rig.mailThere(user);
      await rig.eventually(() => ends() > before, 'the connection did not end');
      await send();
      await rig.mailThere(user, 2);
      const log = rig.peer.log();
      if (rig.peerName === 'Exim') mustMatch(linesAbout(log, user, '<='), / X=TLS1\.3\S*\*/);
      else mustMatch(log, /smtpd\[\d+\]: .*Reusing old session/i);
      return 'certificate verified, session resumed';
    },
  },
  {
    name: 'REQUIRETLS',
    way: 'from Posthorn',
    quick: true,
    beyond: { OpenSMTPD: BROKEN_TLS },
    async run(rig, user) {
      // RFC 8689 §4.2.1: it does not go to a host that does not promise the same.
      const from = `${user}@${OURS.tls}`;
      const transport = createTransport({ host: 'localhost', port: rig.posthorn.ports.smtp, tls: { ca: rig.certificate } });
      const envelope = { from, to: `${user}@${THEIRS.tls}` };
      await transport.sendMail({ envelope, raw: messageOf(user, { from }), requireTLSExtensionEnabled: true });
      transport.close();
      const [bounce] = (await rig.mailHere(user)) as [Buffer];
      return `bounced, since it is not offered: ${mustMatch(bounce.toString('latin1'), /Status: 5\.7\.30/)}`;
    },
  },
];
