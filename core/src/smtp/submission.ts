/**
 * What a submission server does beyond a relay (RFC 6409): sees to it that users write as themselves and with whole domain
 * names, and completes what their programs left out. Asked by verbs/mail, verbs/rcpt and smtp/acceptance, and by them for
 * submission listeners only: a relay changes nothing of a message but its trace. Works on the header that is held anyway.
 */
import { hasControlInName, type HeaderField, scanHeader, unfoldedValue } from '../mail/header-scan.ts';
import type { HeaderEdit } from '../mail/header-edit.ts';
import { readAddressList } from '../mail/header-addresses.ts';
import type { Address } from '../wire/address.ts';
import type { Reply } from '../wire/reply.ts';
import { decodeUtf8 } from '../wire/utf8.ts';
import type { Conversation } from './conversation.ts';
import { headerDate } from './received.ts';
import {
  foreignFrom550,
  foreignSender550,
  fromNeeded554,
  fromTwice554,
  hiddenField554,
  partialHeader554,
  partialRecipient554,
  partialSender554,
  senderNotYours550,
} from './replies.ts';

/** Fields whose addresses have to be whole (RFC 6409 §4.2). */
const ADDRESS_FIELDS = new Set(['from', 'sender', 'reply-to', 'to', 'cc', 'bcc']);

/**
 * MAIL of a user. The null reverse-path is anybody's: what a mail program sends of its own accord, such as a receipt
 * (RFC 8098 §2.1), has it; the header still says who it is.
 */
export function refuseReversePath(conversation: Conversation, address: Address | null): Reply | undefined {
  if (conversation.profile.kind !== 'submission' || address === null) return undefined;
  if (!isWhole(conversation, address)) return partialSender554;
  return mayWriteAs(conversation, address) ? undefined : senderNotYours550;
}

/** RCPT of a user. */
export function refusePartialRecipient(conversation: Conversation, address: Address): Reply | undefined {
  return conversation.profile.kind !== 'submission' || isWhole(conversation, address) ? undefined : partialRecipient554;
}

/**
 * The header of a user's message. Where senders are checked From must be there once, or be ours to add, and be readable
 * in one way; every address in it and in Sender must be the user's, since a reader may see any of them.
 */
export function refuseHeader(conversation: Conversation, reversePath: string, header: Uint8Array): Reply | undefined {
  const fields = scanHeader(header).filter(({ name }) => ADDRESS_FIELDS.has(name));
  const checked = conversation.profile.senderMustMatch !== 'off';
  const from = fields.filter(({ name }) => name === 'from');
  if (checked && hasControlInName(header)) return hiddenField554;
  if (checked && from.length > 1) return fromTwice554;
  if (checked && fields.filter(({ name }) => name === 'sender').length > 1) return foreignSender550;
  if (checked && from.length === 0 && reversePath === '') return fromNeeded554;
  for (const field of fields) {
    const addresses = addressesOf(header, field);
    if (addresses?.some((address) => !isWhole(conversation, address)) === true) return partialHeader554;
    if (!checked || (field.name !== 'from' && field.name !== 'sender')) continue;
    const isFrom = field.name === 'from';
    const isOfUser = addresses?.every((address) => mayWriteAs(conversation, address)) === true;
    const isCountRight = isFrom ? addresses?.length !== 0 : addresses?.length === 1;
    if (!isOfUser || !isCountRight) return isFrom ? foreignFrom550 : foreignSender550;
  }
  return undefined;
}

/**
 * What is added and taken out at the end (RFC 6409 §8), after the edits of plugins: a field that one of them added is not
 * added again. Date and Message-ID that are there stay, however they look.
 */
export function fixUps(
  { profile }: Conversation,
  message: { readonly reversePath: string; readonly id: string; readonly receivedAtMs: number; readonly header: Uint8Array },
): HeaderEdit[] {
  const { reversePath, id, receivedAtMs, header } = message;
  const edits: HeaderEdit[] = [
    { edit: 'remove-header', name: 'Bcc' },
    { edit: 'remove-header', name: 'Resent-Bcc' },
    // It is the last server that puts one on top (RFC 5321 §4.4).
    { edit: 'remove-header', name: 'Return-Path' },
    { edit: 'default-header', name: 'Date', value: headerDate(receivedAtMs) },
    { edit: 'default-header', name: 'Message-ID', value: `<${id}@${profile.hostname}>` },
  ];
  if (reversePath === '') return edits;
  edits.push({ edit: 'default-header', name: 'From', value: `<${reversePath}>` });
  // With several authors it has to be said who sent it (RFC 5322 §3.6.2).
  const from = scanHeader(header).find(({ name }) => name === 'from');
  if (from !== undefined && (addressesOf(header, from)?.length ?? 0) > 1)
    edits.push({ edit: 'default-header', name: 'Sender', value: `<${reversePath}>` });
  return edits;
}

function addressesOf(header: Uint8Array, field: HeaderField): readonly Address[] | undefined {
  const value = unfoldedValue(header, field);
  return readAddressList(decodeUtf8(value) ?? value);
}

function mayWriteAs({ profile, ports, client: { user } }: Conversation, { text }: Address): boolean {
  const scope = profile.senderMustMatch;
  return scope === 'off' || (user !== undefined && ports.mayWriteAs(user, text, scope));
}

/** A name with a dot, an address, or a name that is ours as it is (RFC 5321 §2.3.5); empty is our own postmaster. */
function isWhole({ ports }: Conversation, { domain }: Address): boolean {
  return domain === '' || domain.includes('.') || domain.startsWith('[') || ports.directory.isOurs(domain);
}
