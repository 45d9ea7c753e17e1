/** QUIT (RFC 1939 §4 and §6): says goodbye; after a login it deletes what is marked, and this is the only place that does. */
import { isPermanent } from '../../mail/permanent.ts';
import type { Conversation, TransactionState } from '../conversation.ts';
import { fail, ok, type Outcome } from '../outcome.ts';

const END = { state: { at: 'update' }, after: 'close' } as const;

export function quit(c: Conversation): Outcome {
  return ok(c.texts.goodbye, { after: 'close' });
}

export function quitAndCommit(c: Conversation, { drop, marks }: TransactionState): Outcome | Promise<Outcome> {
  const { texts, ports, tally } = c;
  if (marks.size === 0) {
    drop.release();
    return ok(texts.goodbye, END);
  }
  return drop.commit([...marks]).then(
    ({ failed, permanent }) => {
      const deleted = marks.size - failed;
      tally.deleted += deleted;
      ports.counters.add('pop3.deleted', deleted);
      if (failed === 0) return ok(texts.goodbyeDeleted(deleted), END);
      return fail(texts.notAllDeleted(failed, marks.size), permanent === true ? 'SYS/PERM' : 'SYS/TEMP', END);
    },
    (error: unknown) => {
      ports.log.error('pop3.commit-failed', { session: c.facts.sessionId, cause: String(error) });
      return fail(texts.noneDeleted, isPermanent(error) ? 'SYS/PERM' : 'SYS/TEMP', END);
    },
  );
}
