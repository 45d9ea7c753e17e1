/**
 * From somebody who has shown who he is to an open maildrop, for PASS, APOP and AUTH: stage pop3.auth, lock and listing,
 * stage pop3.open. Whatever refuses on the way, no lock stays held.
 */
import type { LoginResult } from '../auth/authenticator.ts';
import type { Verdict } from '../hook/contract.ts';
import { isLoopback } from '../wire/address-literal.ts';
import { assertNever, type Conversation } from './conversation.ts';
import { fail, ok, refusalOf, refuse, type Outcome } from './outcome.ts';
import type { OpenResult } from './ports.ts';
import { totalFor } from './sizes.ts';

const NONE: ReadonlySet<number> = new Set();

/** May a login be tried as things are? In clear only where the listener says so. */
export function mayLogIn({ profile, tls, facts }: Conversation): boolean {
  if (tls !== undefined || profile.requireTls) return tls !== undefined;
  return profile.plaintextLogin === 'always' || (profile.plaintextLogin === 'loopback' && isLoopback(facts.clientAddress));
}

/** @returns the refusal where it may not. */
export function passwordMayCome(c: Conversation): Outcome | undefined {
  if (mayLogIn(c)) return undefined;
  return refuse(c.profile.starttls ? c.texts.noLoginInClearUseStls : c.texts.noLoginInClear);
}

/** @param name as the client gave it. @param mechanism for plugins. */
export function conclude(c: Conversation, name: string, login: LoginResult, mechanism: string): Outcome | Promise<Outcome> {
  return login.ok ? enter(c, login.user, mechanism) : refuseLogin(c, name, login.why);
}

/** @param name as the client gave it, for the log. */
export function refuseLogin(c: Conversation, name: string, why: 'credentials' | 'throttled'): Outcome {
  const { sessionId, clientAddress } = c.facts;
  c.ports.counters.add('pop3.login-failures');
  c.ports.log.info('pop3.login-failed', { session: sessionId, name: name.slice(0, 100), client: clientAddress, why });
  return why === 'throttled' ? refuse(c.texts.tooManyLogins, 'SYS/TEMP') : refuse(c.texts.wrongLogin, 'AUTH');
}

/** From a user who has shown who he is to his open maildrop. */
export async function enter(c: Conversation, user: string, mechanism: string): Promise<Outcome> {
  const { hooks, maildrops, counters } = c.ports;
  const facts = { ...c.facts, user };
  if (hooks['pop3.auth'] !== null) {
    const refusal = refusalOf(c, await hooks['pop3.auth']({ session: facts, user, mechanism }), 'AUTH');
    if (refusal !== undefined) return refusal;
  }
  const opened = await maildrops.open(user);
  if (!opened.ok) return notOpened(c, user, opened);
  const { drop } = opened;
  const sizeBytes = totalFor(c, drop, NONE);
  try {
    const verdict: Verdict | undefined = await hooks['pop3.open']?.({
      session: facts,
      messages: drop.messages.length,
      sizeBytes,
    });
    const refusal = verdict && refusalOf(c, verdict);
    if (refusal !== undefined) {
      drop.release();
      return refusal;
    }
    // A session that ended meanwhile was no login.
    if (!c.over) drop.noteLogin();
  } catch (error) {
    drop.release();
    throw error;
  }
  counters.add('pop3.logins');
  return ok(c.texts.loggedIn(c.foreign(user), drop.messages.length, sizeBytes), {
    state: { at: 'transaction', user, drop, marks: new Set() },
  });
}

/** None of these counts as a failed login: the password was right. */
function notOpened(c: Conversation, user: string, refused: Exclude<OpenResult, { readonly ok: true }>): Outcome {
  switch (refused.why) {
    case 'in-use':
      return fail(c.texts.inUse, 'IN-USE');
    case 'too-soon':
      c.ports.counters.add('pop3.logins-too-soon');
      return fail(c.texts.tooSoon, 'LOGIN-DELAY');
    case 'failed':
      c.ports.log.error('pop3.open-failed', { session: c.facts.sessionId, user, cause: refused.cause });
      return refused.permanent ? fail(c.texts.cannotOpenEver, 'SYS/PERM') : fail(c.texts.cannotOpen, 'SYS/TEMP');
    default:
      return assertNever(refused);
  }
}
