/** How `posthorn queue` shows messages to a person. Pure; control characters of envelopes never reach the terminal. */
import type { QueueEntry, QueueListed } from '@posthorn/core/queue/queue';

/** @returns one line: id, age, size, sender, how many recipients are left, when the next attempt is, or until when it is held. */
export function listLine(entry: QueueListed, nowMs: number): string {
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
    const tried = one === undefined || one.attempts === 0 ? 'not tried yet' : `${one.status} after ${one.attempts} attempts`;
    lines.push(`to        ${recipient.address}${where}: ${tried}${one?.reply === undefined ? '' : `: ${one.reply}`}`);
  }
  return `${lines.map(plain).join('\n')}\n`;
}

function whenText({ active, nextAttemptAtMs, envelope, state }: QueueEntry, nowMs: number): string {
  if (active) return 'being delivered';
  if (state === undefined && envelope.hold !== undefined && nextAttemptAtMs > nowMs) {
    return `held until ${new Date(nextAttemptAtMs).toISOString()}, for ${describeSpan(nextAttemptAtMs - nowMs)}`;
  }
  return nextAttemptAtMs <= nowMs ? 'due now' : `next attempt in ${describeSpan(nextAttemptAtMs - nowMs)}`;
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
