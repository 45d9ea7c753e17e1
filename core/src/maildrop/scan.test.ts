import { mkdirSync, mkdtempSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { stampOf } from './folder-stamp.ts';
import { listMessages } from './listing.ts';

let maildir: string;
beforeEach(() => {
  maildir = mkdtempSync(join(tmpdir(), 'scan-'));
  for (const folder of ['tmp', 'new', 'cur']) mkdirSync(join(maildir, folder));
});
afterEach(() => rmSync(maildir, { recursive: true, force: true }));

const none = (what: unknown): void => expect.unreachable(String(what));

/** A clock that is asked at the begin of each look, and does something then; it makes each look one at a folder that has just changed. */
function atLooks(act: (look: number) => void): () => number {
  let looks = 0;
  return () => {
    act(++looks);
    return statSync(join(maildir, 'cur')).mtimeMs;
  };
}

it.each([
  ['sizes in the names', ',S=3,W=3'],
  ['sizes to be counted', ''],
])(
  'a message that a look misses, as while it is renamed, is listed no less: a client took it for deleted (%s)',
  async (_what, sizes) => {
    for (const name of ['a', 'b', 'c']) writeFileSync(join(maildir, 'cur', `${name}${sizes}:2,`), `${name}\r\n`);
    const path = join(maildir, 'cur', `b${sizes}:2,`);
    const aside = join(maildir, 'tmp/b');
    // Every look but one finds nothing where it was, and when it is to be counted, it has another name.
    const now = atLooks((look) => {
      if (look === 1 || look === 3) renameSync(path, aside);
      if (look === 2) renameSync(aside, path);
      if (look === 4) setImmediate(() => renameSync(aside, `${path}S`));
    });
    const messages = await listMessages(maildir, [stampOf(join(maildir, 'new')), stampOf(join(maildir, 'cur'))], now, none);
    expect(messages.map(({ uidl, sizeBytes }) => [uidl, sizeBytes])).toEqual([
      ['a', 3],
      ['b', 3],
      ['c', 3],
    ]);
  },
);
