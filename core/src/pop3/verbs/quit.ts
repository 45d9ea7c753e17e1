/** QUIT (RFC 1939 §4 and §6): says goodbye; after a login it deletes what is marked, and this is the only place that does. */
import type { AuthorizationState, Conversation, TransactionState } from '../conversation.ts';
import { fail, ok, type Outcome } from '../outcome.ts';

const GOODBYE = ok('Goodbye', { after: 'close' });
const END = { state: { at: 'update' }, after: 'close' } as const;

export function quit(_c: Conversation, _state: AuthorizationState): Outcome {
  return GOODBYE;
}

export function quitAndCommit(c: Conversation, { drop, marks }: TransactionState): Outcome | Promise<Outcome> {
  if (marks.size === 0) {
    drop.release();
    return ok('Goodbye', END);
  }
  return drop.commit([...marks]).then(
    ({ failed }) => {
      const deleted = marks.size - failed;
      c.tally.deleted += deleted;
      c.ports.counters.add('pop3.deleted', deleted);
      if (failed === 0) return ok(`Goodbye, ${deleted} messages deleted`, END);
      return fail(`${failed} of ${marks.size} messages could not be deleted`, 'SYS/TEMP', END);
    },
    (error: unknown) => {
      c.ports.log.error('pop3.commit-failed', { session: c.facts.sessionId, cause: String(error) });
      return fail('The messages could not be deleted', 'SYS/TEMP', END);
    },
  );
}
