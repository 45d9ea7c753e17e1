/** A second message behind what somebody may take for the end of the first: nobody may ever see it as one. */
import { sayAll, talkTo } from '../../../lib/talk.ts';
import { messageOf } from '../../message.ts';
import { OURS, THEIRS } from '../rig.ts';
import { must, type Story, VICTIM } from '../story.ts';

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

export const smugglingStories: readonly Story[] = [
  {
    name: 'smuggling',
    way: 'to Posthorn',
    quick: ['Postfix', 'Exim'],
    async run(rig, user) {
      // By BDAT the peer gets each form as what it is, bytes of a message, and sends it on as it can; one without reads it in DATA.
      const from = `${user}@${OURS.tls}`;
      const envelope = { from, to: from, victim: `${VICTIM}@${OURS.tls}`, bdat: rig.peerName !== 'OpenSMTPD' };
      const refusals = () => rig.log.all('smtp.rejected').length;
      const before = refusals();
      const codes = await smuggleAll(rig.peer.ports.plain, envelope);
      const taken = codes.get('250') ?? 0;
      must(taken > 0, 'none of them was taken');
      // Each is taken here or refused.
      const accepted = () => rig.log.all('smtp.accepted').filter((line) => line['reversePath'] === from).length;
      await rig.eventually(() => accepted() + refusals() - before >= taken, `fewer than the ${taken} messages came`);
      await rig.viaPeer({ from: 'a@sender.test', to: [envelope.victim], message: messageOf(user) });
      await rig.until(VICTIM, (texts) => texts.some((text) => text.includes(`Subject: ${user}`)));
      await rig.mailHere(VICTIM, 1);
      return `${ENDS_OF_OTHERS.length} forms: ${told(codes)}; no second message`;
    },
  },
  {
    name: 'smuggling',
    way: 'from Posthorn',
    quick: true,
    async run(rig, user) {
      const envelope = { from: 'a@sender.test', to: `${user}@${THEIRS.tls}`, victim: `${VICTIM}@${THEIRS.tls}`, bdat: false };
      const codes = new Map<string, number>();
      for (const port of Object.values(rig.listeners)) {
        for (const [code, count] of await smuggleAll(port, envelope)) codes.set(code, (codes.get(code) ?? 0) + count);
      }
      must(
        [...codes.keys()].every((code) => code === '250' || code === '550'),
        told(codes),
      );
      const arrived = await rig.mailThere(user, codes.get('250') ?? 0);
      must(arrived.length > 0, 'none of them was taken');
      await rig.viaPosthorn({ from: 'a@sender.test', to: [`${VICTIM}@${THEIRS.tls}`], message: messageOf(user) });
      const [only] = await rig.mailThere(VICTIM, 1);
      must(!only!.includes('Subject: smuggled'), 'the smuggled message came');
      return `${ENDS_OF_OTHERS.length} forms on two listeners: ${told(codes)}; no second message`;
    },
  },
];

const told = (codes: ReadonlyMap<string, number>) => [...codes].map(([code, count]) => `${count} times ${code}`).join(', ');

interface Smuggled {
  readonly from: string;
  readonly to: string;
  /** Recipient of the second message. */
  readonly victim: string;
  /** By BDAT, where nothing but its count ends a message. */
  readonly bdat: boolean;
}

/** @returns how often each code came. @throws Error when a line of a message was read as a command */
async function smuggleAll(port: number, envelope: Smuggled): Promise<Map<string, number>> {
  const codes = new Map<string, number>();
  for (const form of ENDS_OF_OTHERS) {
    const code = await smuggle(port, form, envelope);
    codes.set(code, (codes.get(code) ?? 0) + 1);
  }
  return codes;
}

async function smuggle(port: number, form: string, { from, to, victim, bdat }: Smuggled): Promise<string> {
  const talk = await talkTo(port);
  try {
    await sayAll(talk, [
      ['EHLO sender.test', '250'],
      // A notice with the message in it would be refused like the message.
      [`MAIL FROM:<${from}> BODY=8BITMIME RET=HDRS`, '250'],
      [`RCPT TO:<${to}>`, '250'],
    ]);
    const second = `MAIL FROM:<evil@sender.test>\r\nRCPT TO:<${victim}>\r\nDATA\r\nSubject: smuggled\r\n\r\ntext`;
    const message = Buffer.from(`Subject: outer\r\n\r\ntext${form}${second}\r\n`, 'latin1');
    if (bdat) talk.send(`BDAT ${message.length} LAST\r\n`);
    else await sayAll(talk, [['DATA', '354']]);
    talk.send(bdat ? message : Buffer.concat([message, Buffer.from('.\r\n')]));
    const code = (await talk.hear()).slice(0, 3);
    // Were a line read as a command, its reply would come before this one. Some close after what they refuse.
    const bye = await talk.say('QUIT').catch(() => '221 closed');
    must(bye.startsWith('221'), `${JSON.stringify(form)}: ${bye}`);
    return code;
  } finally {
    talk.leave();
  }
}
