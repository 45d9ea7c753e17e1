/** What a story of an exchange is, and what stories say when something is not as it must be. */
import { compareBelowTrace } from '../../lib/trace-headers.ts';
import { type PeerName, type Rig, SMALL_MAX_RECIPIENTS } from './rig.ts';

export type Way = 'to Posthorn' | 'from Posthorn';

export interface Story {
  /** Also the user of the story, with blanks as dashes. */
  readonly name: string;
  readonly way: Way;
  /** Runs with `npm test` too; with these peers alone, where the others are slow at it. */
  readonly quick?: true | readonly PeerName[];
  /** What Debian's peer can't do, which is no fault and no skip. */
  readonly beyond?: Partial<Record<PeerName, string>>;
  /** @returns what was seen */
  run(rig: Rig, user: string): Promise<string>;
}

export const userOf = ({ name, way }: Story): string =>
  `${way.split(' ')[0]}-${name.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-')}`;

/** The peer logs in as this user: From and MAIL must be his. */
export const LOGIN = 'login';

/** More mailboxes than the listener for small messages takes recipients at once. */
export const crowd = Array.from({ length: SMALL_MAX_RECIPIENTS + 10 }, (_, index) => `crowd-${index}`);

/** Gets smuggled mail, if there is any. */
export const VICTIM = 'victim';

/** @throws Error with what differs */
export function same(arrived: Buffer, sent: Buffer): void {
  const compared = compareBelowTrace(arrived, sent);
  if ('differs' in compared) throw new Error(compared.differs);
}

/** The trace field of the last server, on one line. */
export function received(message: Buffer): string {
  const field = /^Received:(?:[^\r\n]*)(?:\r\n[ \t][^\r\n]*)*/m.exec(message.toString('latin1'))?.[0];
  return field?.replaceAll(/\s+/g, ' ') ?? '';
}

export function must(condition: boolean, text: string): void {
  if (!condition) throw new Error(text);
}

/** @returns what matched */
export function mustMatch(text: string, pattern: RegExp): string {
  const found = pattern.exec(text);
  if (found === null) throw new Error(`${String(pattern)} not in: ${text.slice(0, 3000)}`);
  return found[0];
}

export const isBounce = (text: string): boolean => /^Return-Path: ?<>/im.test(text);

/** Lines of a log that name a user and a mark. */
export function linesAbout(log: string, user: string, mark: string): string {
  return log
    .split('\n')
    .filter((line) => line.includes(user) && line.includes(mark))
    .join('\n');
}
