/**
 * Every dialogue of this folder, played whole, lock-step, in chunks of a few bytes, cut in two at every position, and
 * with hooks that answer late: the answers are the same each time, and every writer is given back.
 */
import { describe, expect, it } from 'vitest';
import type { Cutting } from '../../lib/cutting.ts';
import { playDialog, readDialogs, type Dialog, type Played } from '../../lib/smtp-dialog.ts';

const dialogs = readDialogs(new URL('./', import.meta.url));

describe.each(dialogs.map((dialog) => [dialog.name, dialog] as const))('%s', (_name, dialog) => {
  it('reads as written, lock-step', async () => {
    check(dialog, await playDialog(dialog, 'lock-step'));
  });

  it('is the same with hooks that answer late', async () => {
    check(dialog, await playDialog(dialog, 'lock-step', true));
    check(dialog, await playDialog(dialog, { every: 1e9 }, true));
    check(dialog, await playDialog(dialog, { every: 7 }, true));
  });

  it('is the same in chunks of 1 byte, 2, 3 and more', async () => {
    const sizes = [1, 2, 3, 4, 5, 7, 11, 16, 61, 1e9];
    for (const every of sizes) check(dialog, await playDialog(dialog, { every }));
  });

  it('is the same cut in two at every position', async () => {
    const longest = Math.max(...dialog.steps.map((step) => (step.do === 'send' ? step.bytes.length : 0)));
    const total = dialog.steps.reduce((sum, step) => sum + (step.do === 'send' ? step.bytes.length : 0), 0);
    // Dialogues with a long message are cut at every position of their first and last part.
    const cuts: Cutting[] = [];
    for (let at = 1; at < total; at += 1) if (total < 1500 || at < 400 || at > total - 400 || longest < 400) cuts.push({ at });
    for (const cutting of cuts) check(dialog, await playDialog(dialog, cutting));
  });
});

function check(dialog: Dialog, played: Played): void {
  expect(played.text.split('\r\n')).toEqual(dialog.expected.split('\r\n'));
  expect(played.late).toBeUndefined();
  expect(played.closed).toBe(dialog.closes);
  expect(played.stored).toEqual(dialog.stored);
  expect(played.kit.writers.every((writer) => writer.ended === 1)).toBe(true);
  // The broken authenticator of auth-exchanges is the only error there is to log.
  expect(played.kit.logged.filter((line) => line.level === 'error' && line.event !== 'smtp.auth-failed')).toEqual([]);
}
