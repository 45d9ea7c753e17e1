/** Recipients that a stage adds or removes. Called by verbs/rcpt and smtp/acceptance. */
import type { Edit } from '../hook/contract.ts';
import { parseMailbox } from '../wire/address.ts';
import type { Conversation } from './conversation.ts';
import type { Transaction } from './transaction.ts';

/** Applies the recipient edits of a stage; addresses that are none, or nobody's, are left out and logged. */
export function editRecipients(conversation: Conversation, transaction: Transaction, edits: readonly Edit[]): void {
  for (const edit of edits) {
    if (edit.edit !== 'add-recipient' && edit.edit !== 'remove-recipient') continue;
    const address = parseMailbox(edit.address);
    const resolution = address === undefined ? undefined : conversation.ports.directory.resolve(address.text);
    if (address === undefined) conversation.log('warn', 'smtp.edit-refused', { edit, reason: 'not an address' });
    else if (edit.edit === 'remove-recipient') transaction.removeRecipient(address.text);
    else if (resolution === undefined || resolution.is === 'unknown')
      conversation.log('warn', 'smtp.edit-refused', { edit, reason: 'no such user' });
    else transaction.addRecipient(address.text, resolution);
  }
}
