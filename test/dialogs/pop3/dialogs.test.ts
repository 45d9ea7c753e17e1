/**
 * Plays every dialogue of this folder: as written, in chunks of one byte, two, three and more, cut at every position,
 * with ports that answer at once and late, with messages in one piece and in small ones. What is said, what is deleted
 * and what is given back is the same each time.
 */
import { describe, expect, it } from 'vitest';
import { playPop3Dialog, readPop3Dialogs, type Pop3Dialog, type PlayedPop3 } from '../../lib/pop3-dialog.ts';

const dialogs = readPop3Dialogs(new URL('./', import.meta.url));

describe.each(dialogs.map((dialog) => [dialog.name, dialog] as const))('%s', (_name, dialog) => {
  it('reads as written, lock-step', async () => {
    check(dialog, await playPop3Dialog(dialog, 'lock-step'));
  });

  it('is the same with ports that answer late, and messages in small pieces', async () => {
    for (const streamBytes of [1, 3, 7, 1000]) {
      check(dialog, await playPop3Dialog(dialog, 'lock-step', { async: true, streamBytes }));
    }
    check(dialog, await playPop3Dialog(dialog, { every: 1e9 }, { async: true }));
    check(dialog, await playPop3Dialog(dialog, { every: 7 }, { async: true, streamBytes: 5 }));
  });

  it('is the same in chunks of 1 byte, 2, 3 and more', async () => {
    for (const every of [1, 2, 3, 4, 5, 7, 11, 16, 61, 1e9]) check(dialog, await playPop3Dialog(dialog, { every }));
  });

  it('is the same cut in two at every position', async () => {
    const total = dialog.steps.reduce((sum, step) => sum + step.bytes.length, 0);
    for (let at = 1; at < total; at++) check(dialog, await playPop3Dialog(dialog, { at }));
  });
});

function check(dialog: Pop3Dialog, played: PlayedPop3): void {
  expect(played.text.split('\r\n')).toEqual(dialog.expected.split('\r\n'));
  expect(played.late).toBeUndefined();
  expect(played.closed).toBe(dialog.settings.has('closes'));
  expect(played.kit.deleted).toEqual((dialog.settings.get('deleted')?.[0] ?? '').split(' ').filter((uidl) => uidl !== ''));
  expect(played.kit.held).toBe(0);
  expect(played.kit.reading).toBe(0);
}
