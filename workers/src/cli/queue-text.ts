/** How `posthorn queue` shows messages to a person. Pure; control characters of envelopes never reach the terminal. */
import type { QueueEntry, QueueListed } from '@posthorn/core/queue/queue';
import type { RecipientState } from '@posthorn/core/queue/store';

/** Recipients of a message that `list` shows: a list of mail to thousands stays readable. */
const LISTED_RECIPIENTS = 3;

/**
 * @returns a line with id, age, size, sender, how many recipients are left, when the next attempt is, or until when it is held;
 * once it was tried, a line beneath it for each of the first recipients that are left, with the last reply
 */
export function listText(entry: QueueListed, nowMs: number): string {
  if (entry.kind === 'damaged') return listLine(entry, nowMs);
  const { envelope, state, active } = entry.message;
  if (state === undefined) return listLine(entry, nowMs);
  const lines: string[] = [];
  let more = 0;
  for (const [index, one] of state.recipients.entries()) {
    if (one.status !== 'pending') continue;
    if (lines.length >= LISTED_RECIPIENTS) more++;
    else lines.push(plain(`  ${envelope.recipients[index]?.address}: ${reasonText(one)}${nextText(one, active, nowMs)}\n`));
  }
  if (more > 0) lines.push(`  and ${more} more\n`);
  return listLine(entry, nowMs) + lines.join('');
}

function listLine(entry: QueueListed, nowMs: number): string {
  if (entry.kind === 'damaged') return plain(`damaged  ${entry.where}: ${entry.reason}\n`);
  const { envelope, state } = entry.message;
  const pending = envelope.recipients.filter((_, index) => (state?.recipients[index]?.status ?? 'pending') === 'pending');
  const to = pending.length === 1 ? pending[0]?.address : `${pending.length} recipients`;
  const from = envelope.reversePath === '' ? '<>' : envelope.reversePath;
  const age = describeSpan(nowMs - envelope.receivedAtMs);
  const asked = envelope.priority === undefined ? '' : `  priority ${envelope.priority}`;
  const when = whenText(entry.message, nowMs);
  return plain(`${entry.id}  ${age} old  ${envelope.sizeBytes} bytes  ${from} -> ${to}${asked}  ${when}\n`);
}

/** @returns all that is known of a message, a line for each recipient. */
export function describeMessage(entry: QueueListed, nowMs: number): string {
  if (entry.kind === 'damaged') return listLine(entry, nowMs);
  const { envelope, state } = entry.message;
  const { origin } = envelope;
  const lines = [
    `id        ${entry.id}`,
    `received  ${new Date(envelope.receivedAtMs).toISOString()} from ${origin.clientAddress} (${origin.protocol}, listener ${origin.listener}, session ${origin.sessionId})`,
    `from      ${envelope.reversePath === '' ? '<>' : envelope.reversePath}`,
    `size      ${envelope.sizeBytes} bytes`,
    `next      ${whenText(entry.message, nowMs)}`,
  ];
  if (envelope.priority !== undefined) lines.push(`priority  ${envelope.priority}`);
  if (envelope.requireTls === true) lines.push('tls       required on the whole way (REQUIRETLS)');
  if (envelope.tlsOptional === true) lines.push('tls       delivery matters more (TLS-Required: No)');
  if (origin.user !== undefined) lines.push(`user      ${origin.user}`);
  if (envelope.quarantine !== undefined) lines.push(`quarantine ${envelope.quarantine}`);
  for (const [index, recipient] of envelope.recipients.entries()) {
    const one = state?.recipients[index];
    const where = recipient.mailbox === undefined ? '' : ` (mailbox ${recipient.mailbox})`;
    const became = one === undefined ? 'not tried yet' : statusText(one) + nextText(one, entry.message.active, nowMs);
    lines.push(`to        ${recipient.address}${where}: ${became}`);
  }
  return `${lines.map(plain).join('\n')}\n`;
}

/** Why a recipient waits. */
function reasonText({ owed, reply }: RecipientState): string {
  if (owed !== undefined) return 'delivered; its sender has still to be told';
  return reply ?? 'not tried yet';
}

function statusText(one: RecipientState): string {
  const { status, attempts, reply, owed } = one;
  if (owed !== undefined || attempts === 0) return reasonText(one);
  const tried = `${status} after ${attempts} ${attempts === 1 ? 'attempt' : 'attempts'}`;
  return reply === undefined ? tried : `${tried}: ${reply}`;
}

/** When a recipient that waits is looked at next; nothing of one that does not, nor while the message is being delivered. */
function nextText({ status, nextAttemptAtMs }: RecipientState, active: boolean, nowMs: number): string {
  return status !== 'pending' || active ? '' : `; ${dueText(nextAttemptAtMs, nowMs)}`;
}

function dueText(atMs: number, nowMs: number): string {
  return atMs <= nowMs ? 'due now' : `next attempt in ${describeSpan(atMs - nowMs)}`;
}

function whenText({ active, nextAttemptAtMs, envelope, state }: QueueEntry, nowMs: number): string {
  // Handed out to delivery, which sends few of them at a time.
  if (active) return 'in delivery: being sent, or in line';
  if (state === undefined && envelope.hold !== undefined && nextAttemptAtMs > nowMs) {
    return `held until ${new Date(nextAttemptAtMs).toISOString()}, for ${describeSpan(nextAttemptAtMs - nowMs)}`;
  }
  return dueText(nextAttemptAtMs, nowMs);
}

/** @returns a length of time in its two largest units: `3h 5m`. */
export function describeSpan(spanMs: number): string {
  const seconds = Math.max(0, Math.round(spanMs / 1000));
  const units = [
    ['d', Math.floor(seconds / 86_400)],
    ['h', Math.floor(seconds / 3600) % 24],
    ['m', Math.floor(seconds / 60) % 60],
    ['s', seconds % 60],
  ] as const;
  const first = units.findIndex(([, value]) => value > 0);
  if (first < 0) return '0s';
  const shown = units.slice(first, first + 2).filter(([, value]) => value > 0);
  return shown.map(([name, value]) => `${value}${name}`).join(' ');
}

function plain(text: string): string {
  return text.replace(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/g, '?');
}
