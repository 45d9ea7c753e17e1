/**
 * From a name and a password to an open maildrop, for PASS and AUTH: authenticator, stage pop3.auth, lock and listing,
 * stage pop3.open. Whatever refuses on the way, no lock stays held.
 */
import type { Verdict } from '../hook/contract.ts';
import { isLoopback } from '../wire/address-literal.ts';
import type { Conversation } from './conversation.ts';
import { fail, ok, refusalOf, refuse, type Outcome } from './outcome.ts';
import type { Maildrop, Pop3Profile } from './ports.ts';

/** May a password be sent now? In clear only where the listener says so. */
export function mayLogIn(profile: Pop3Profile, secure: boolean, address: string): boolean {
  if (secure || profile.requireTls) return secure;
  return profile.plaintextLogin === 'always' || (profile.plaintextLogin === 'loopback' && isLoopback(address));
}

export function loginRefusedInClear(profile: Pop3Profile): Outcome {
  return refuse(profile.starttls ? 'No password without TLS: use STLS first' : 'No password without TLS here');
}

export async function logIn(c: Conversation, name: string, password: string, mechanism: string): Promise<Outcome> {
  const login = await c.ports.authenticator.check(name, password, c.facts.clientAddress);
  return login.ok ? await enter(c, login.user, mechanism) : refuseLogin(c, name, login.why);
}

/** @param name as the client gave it, for the log. */
export function refuseLogin(c: Conversation, name: string, why: 'credentials' | 'throttled'): Outcome {
  const { sessionId, clientAddress } = c.facts;
  c.ports.counters.add('pop3.login-failures');
  c.ports.log.info('pop3.login-failed', { session: sessionId, name: name.slice(0, 100), client: clientAddress, why });
  return why === 'throttled'
    ? refuse('Too many logins failed or are under way, try again later', 'SYS/TEMP')
    : refuse('Wrong name or password', 'AUTH');
}

/** From a user who has shown who he is to his open maildrop. */
export async function enter(c: Conversation, user: string, mechanism: string): Promise<Outcome> {
  const { hooks, maildrops, log, counters } = c.ports;
  const { sessionId } = c.facts;
  const facts = { ...c.facts, user };
  if (hooks['pop3.auth'] !== null) {
    const refusal = refusalOf(await hooks['pop3.auth']({ session: facts, user, mechanism }), 'AUTH');
    if (refusal !== undefined) return refusal;
  }
  const opened = await maildrops.open(user);
  if (!opened.ok) {
    if (opened.why === 'in-use') return fail('Another session has this maildrop', 'IN-USE');
    log.error('pop3.open-failed', { session: sessionId, user, cause: opened.cause });
    return fail('The maildrop cannot be opened now', 'SYS/TEMP');
  }
  const { drop } = opened;
  const sizeBytes = totalBytes(drop);
  try {
    const verdict: Verdict | undefined = await hooks['pop3.open']?.({
      session: facts,
      messages: drop.messages.length,
      sizeBytes,
    });
    const refusal = verdict && refusalOf(verdict);
    if (refusal !== undefined) {
      drop.release();
      return refusal;
    }
  } catch (error) {
    drop.release();
    throw error;
  }
  counters.add('pop3.logins');
  return ok(`${user} has ${drop.messages.length} messages (${sizeBytes} octets)`, {
    state: { at: 'transaction', user, drop, marks: new Set() },
  });
}

function totalBytes(drop: Maildrop): number {
  let sizeBytes = 0;
  for (const message of drop.messages) sizeBytes += message.sizeBytes;
  return sizeBytes;
}
