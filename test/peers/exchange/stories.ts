/**
 * What mail servers of others and Posthorn must be able to do with each other's mail, both ways: a table of stories, each
 * told to every peer. `interop.ts` runs all of them and prints the table of docs/interop.md, `exchange.test.ts` the quick ones.
 */
import { connectionStories } from './stories/connection.ts';
import { contentStories } from './stories/content.ts';
import { noticeStories } from './stories/notices.ts';
import { recipientStories } from './stories/recipients.ts';
import { smugglingStories } from './stories/smuggling.ts';
import { crowd, LOGIN, type Story, userOf, VICTIM, type Way } from './story.ts';

const all = [...contentStories, ...connectionStories, ...recipientStories, ...noticeStories, ...smugglingStories];
const WAYS: readonly Way[] = ['to Posthorn', 'from Posthorn'];

export const stories: readonly Story[] = WAYS.flatMap((way) => all.filter((story) => story.way === way));

/** Mailboxes of both sides; the peer logs in as the first. */
export const users: readonly string[] = [LOGIN, ...stories.map(userOf), ...crowd, VICTIM];
