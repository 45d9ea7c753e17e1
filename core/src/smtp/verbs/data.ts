/**
 * DATA (RFC 5321 §4.1.1.4): from here on the bytes are a message's. Room for it is asked for before 354, so that a full
 * disk refuses the message before it is sent. What happens at the closing dot: smtp/acceptance.ts.
 */
import type { Command } from '../command.ts';
import { insufficientStorage452, mailFirst503, noArgumentAllowed501, noRecipients554, startMail354 } from '../replies.ts';
import { Reception } from '../reception.ts';
import type { Transaction } from '../transaction.ts';
import { gatherEvidence } from '../verdict.ts';

export const data: Command<Transaction> = {
  verb: 'DATA',
  stage: 'data',
  rule: ({ transaction }) => {
    if (transaction === undefined) return mailFirst503;
    // A plugin may have taken the only recipient out again: that message is received, and goes nowhere.
    return transaction.acceptedRecipients === 0 ? noRecipients554 : undefined;
  },
  check: ({ transaction }, argument) => (argument === '' ? transaction! : noArgumentAllowed501),
  ask: (conversation, transaction) =>
    conversation.ports.hooks.data?.({
      session: conversation.facts,
      reversePath: transaction.reversePath,
      recipients: [...transaction.recipients.keys()],
    }) ?? null,
  proceed: (conversation, transaction, verdict) => {
    const writer = conversation.ports.sink.begin(transaction.declaredSizeBytes);
    if (writer === undefined) {
      conversation.logRefusal('data', insufficientStorage452, { reversePath: transaction.reversePath });
      return insufficientStorage452;
    }
    gatherEvidence(transaction.evidence, verdict.evidence);
    if (verdict.kind === 'quarantine') transaction.quarantine ??= verdict.text ?? 'quarantined by policy';
    transaction.collect(writer);
    conversation.read({ of: 'message', reception: new Reception(writer, conversation.profile.limits) });
    return startMail354;
  },
};
