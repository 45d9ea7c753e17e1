/** The part of a notice that people read: which recipient, what became of it, why, until when. Pure. */
import type { NoticeInput } from './build.ts';
import type { Action, Told } from './told.ts';
import { dateOf, fold, printable } from './text.ts';

const OPENINGS: Readonly<Record<Action, readonly string[]>> = {
  failed: [
    'Your message could not be delivered to the recipients below. The reason',
    'for each follows its address. There will be no further attempts.',
  ],
  delayed: [
    'Your message could not be delivered to the recipients below yet. This is a',
    'warning only: you need not send it again. It will be tried further.',
  ],
  delivered: ['Your message was delivered to the mailboxes of the recipients below.'],
  relayed: [
    'Your message was passed on for the recipients below. The next server cannot',
    'tell whether it is delivered, or was not asked to: this may be the last you hear.',
  ],
  expanded: [
    'Your message was passed on to everybody that the addresses below stand for.',
    'You will not be told when each of them has it.',
  ],
};

export const SUBJECTS: Readonly<Record<Action, string>> = {
  failed: 'Undelivered mail returned to sender',
  delayed: 'Delayed mail (still being tried)',
  delivered: 'Mail was delivered',
  relayed: 'Mail was passed on',
  expanded: 'Mail was passed on to a group',
};

function linesOf({ recipient, reply, peer, why, retryUntilMs }: Told): string[] {
  const said = peer === undefined ? reply : `${peer} said: ${reply}`;
  const given = recipient.original === undefined ? '' : ` (sent to ${recipient.original})`;
  const lines = [
    fold(printable(`<${recipient.address}>${given}`), '  '),
    `  ${fold(printable(why === undefined ? said : `${why} ${said}`), '  ')}`,
  ];
  if (retryUntilMs !== undefined) lines.push(`  It will be tried until ${dateOf(retryUntilMs)}.`);
  return [...lines, ''];
}

/** @param told those that have a place in the notice; grouped by what became of them */
export function forPeople({ envelope, hostname }: NoticeInput, told: readonly Told[]): string {
  const lines = [`This is the mail server ${hostname}.`, ''];
  for (const action of new Set(told.map((one) => one.action))) {
    lines.push(...OPENINGS[action], '');
    if (action === told[0]?.action) lines.push(`Message: ${envelope.id}, received ${dateOf(envelope.receivedAtMs)}`, '');
    for (const one of told) if (one.action === action) lines.push(...linesOf(one));
  }
  return lines.join('\r\n');
}
