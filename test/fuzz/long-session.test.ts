/** One session that never ends: whatever a client sends in it, the session holds no more afterwards than before. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { createSmtpSession } from '@posthorn/core/smtp/session';
import { expect, it } from 'vitest';
import { createKit, RecordingOutput, settled } from '../lib/smtp-ports.ts';
import { readDialogs } from '../lib/smtp-dialog.ts';
import { damagedLines, randomFrom } from './random.ts';
import { linesOf } from './script.ts';

/** What closes a session or has its octets read for long is left out: here it has to go on. */
const lines = linesOf(readDialogs(new URL('../dialogs/smtp/', import.meta.url))).filter(
  (line) => !/^(QUIT|BDAT|STARTTLS|GET|POST|PUT|HEAD|DELETE|OPTIONS|PATCH|CONNECT|TRACE|PRI)\b/i.test(line) && line.length < 500,
);
const WITHOUT_END = 1e9;

it('a session of two hundred thousand lines', { timeout: 60_000 }, async () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const kit = createKit({
    limits: {
      maxErrors: WITHOUT_END,
      maxUnknownCommands: WITHOUT_END,
      maxCommands: WITHOUT_END,
      maxMessages: WITHOUT_END,
      maxIdleCommands: WITHOUT_END,
    },
  });
  const output = new RecordingOutput();
  const session = createSmtpSession(kit.ports, kit.profile, { address: '192.0.2.99', port: 1, sessionId: 'S' }, output);
  session.start();
  const random = randomFrom(7);
  let firstBytes = 0;
  let accepted = 0;
  for (let turn = 0; turn < 10_000; turn += 1) {
    // Whole lines, damaged or not, then the end of whatever they began.
    const text = damagedLines(random, lines, 30).replaceAll(/^(QUIT|BDAT|STARTTLS|GET|POST)/gim, 'NOOP');
    session.feed(Buffer.from(`${text}\r\n.\r\nRSET\r\n`, 'latin1'));
    await settled(session);
    if (output.closed) throw new Error(`closed after ${turn} turns: ${output.text.slice(-200)}`);
    output.text = '';
    accepted += kit.taken.length;
    kit.taken.length = 0;
    kit.logged.length = 0;
    kit.writers.length = 0;
    if (turn === 2000 || turn === 9999) {
      collect();
      const bytes = process.memoryUsage().heapUsed;
      if (turn === 2000) firstBytes = bytes;
      else expect(bytes - firstBytes).toBeLessThan(2 * 1024 * 1024);
    }
  }
  expect(accepted).toBeGreaterThan(0);
});
