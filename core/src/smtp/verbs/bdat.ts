/**
 * BDAT (RFC 3030 §2): a part of the message, in octets that are counted beforehand. The octets come right behind the line
 * whatever becomes of the command, so every refusal reads them away first; where nobody can tell how many they are, the
 * session ends. Once a chunk was refused, each later one of that message gets the same reply, up to the last or RSET.
 */
import type { Verdict } from '../../hook/contract.ts';
import type { Reply } from '../../wire/reply.ts';
import { Chunk } from '../chunk.ts';
import type { Conversation } from '../conversation.ts';
import { badChunk501, chunkFollows, mailFirst503, messageTooLarge552, noRecipients554 } from '../replies.ts';
import { beginReception, Reception } from '../reception.ts';

interface ChunkSize {
  readonly octets: number;
  readonly isLast: boolean;
}

export function takesChunks({ transaction }: Conversation): Reply | undefined {
  if (transaction === undefined) return mailFirst503;
  if (transaction.chunksRefused !== undefined) return transaction.chunksRefused;
  return transaction.accepted.length === 0 ? noRecipients554 : undefined;
}

export function chunkSize(_conversation: Conversation, argument: string): ChunkSize | Reply {
  return parseChunkSize(argument) ?? badChunk501;
}

/** Once for each message, as with DATA. */
export function askBeforeFirstChunk({ ports, client, transaction }: Conversation): Verdict | Promise<Verdict> | null {
  return transaction!.chunks !== undefined || ports.hooks.data === null
    ? null
    : ports.hooks.data({
        session: client.facts,
        reversePath: transaction!.reversePath,
        recipients: [...transaction!.recipients.keys()],
      });
}

export function takeChunk(conversation: Conversation, size: ChunkSize, verdict: Verdict): Reply {
  const transaction = conversation.transaction!;
  const framing = transaction.parameters.body === 'binarymime' ? 'binary-chunks' : 'chunks';
  const reception = transaction.chunks ?? beginReception(conversation, transaction, verdict, framing);
  if (!(reception instanceof Reception)) return readAway(conversation, size, reception);
  transaction.chunks = reception;
  if (!reception.hasRoomFor(size.octets)) {
    conversation.logRefusal('message', messageTooLarge552, { reversePath: transaction.reversePath });
    return readAway(conversation, size, messageTooLarge552);
  }
  conversation.read({ of: 'chunk', chunk: new Chunk(size.octets, size.isLast, { transaction, reception }) });
  return chunkFollows;
}

export function readChunkAway(conversation: Conversation, argument: string, reply: Reply): Reply {
  const size = parseChunkSize(argument);
  return size === undefined ? badChunk501 : readAway(conversation, size, reply);
}

/** The chunk is not taken: its octets are read, thrown away, and only then answered. */
function readAway(conversation: Conversation, { octets, isLast }: ChunkSize, refusal: Reply): Reply {
  if (refusal.after === 'close') return refusal;
  conversation.transaction?.refuseChunks(refusal);
  const sinceMs = conversation.ports.clock.monotonic();
  conversation.read({ of: 'chunk', chunk: new Chunk(octets, isLast, { refusal, sinceMs }) });
  return chunkFollows;
}

/**
 * `size [SP LAST]` in decimal digits, nothing else: no sign, no blank too many. A size that a number does not hold
 * exactly is none, since it could not be counted down.
 */
function parseChunkSize(argument: string): ChunkSize | undefined {
  const match = /^(\d{1,20})( LAST)?$/i.exec(argument);
  const octets = Number(match?.[1]);
  return Number.isSafeInteger(octets) ? { octets, isLast: match?.[2] !== undefined } : undefined;
}
