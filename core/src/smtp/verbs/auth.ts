/**
 * AUTH PLAIN and LOGIN (RFC 4954, RFC 4616) on submission listeners. A password in clear is taken only where the
 * listener says so: else 538 before the client has sent it, where it waits for the challenge. The stage `auth` is asked
 * once the password was found right. Passwords are never logged and never echoed.
 */
import { decodePlain, type PlainCredentials } from '../../auth/sasl-plain.ts';
import { Reply } from '../../wire/reply.ts';
import { asksNobody, type Command } from '../command.ts';
import type { Conversation } from '../conversation.ts';
import { decodeLoginResponse } from '../login-response.ts';
import {
  alreadyAuthenticated503,
  argumentNeeded501,
  authenticated235,
  authenticationCancelled501,
  authenticationUnavailable454,
  badCredentials535,
  badResponse501,
  encryptionRequired538,
  helloFirst503,
  notDuringMail503,
  notImplemented502,
  unknownMechanism504,
} from '../replies.ts';
import { afterVerdict, refusalOf, type Answer } from '../verdict.ts';

interface AuthArguments {
  readonly mechanism: 'PLAIN' | 'LOGIN';
  /** As sent: base64, `=` for an empty one; undefined when there is none. */
  readonly initial: string | undefined;
}

const PLAIN_CHALLENGE = new Reply(334, '', '');
/** `Username:` and `Password:`, as every client of LOGIN expects them. */
const NAME_CHALLENGE = new Reply(334, '', 'VXNlcm5hbWU6');
const PASSWORD_CHALLENGE = new Reply(334, '', 'UGFzc3dvcmQ6');

export const auth: Command<AuthArguments> = {
  verb: 'AUTH',
  stage: 'auth',
  rule: (conversation) => {
    if (conversation.profile.kind !== 'submission') return notImplemented502;
    if (conversation.helo === undefined || !conversation.extended) return helloFirst503;
    if (conversation.user !== undefined) return alreadyAuthenticated503;
    return conversation.transaction === undefined ? undefined : notDuringMail503;
  },
  check: (conversation, argument) => {
    if (argument === '') return argumentNeeded501;
    const [name = '', initial, ...rest] = argument.split(' ');
    const mechanism = name.toUpperCase();
    if (mechanism !== 'PLAIN' && mechanism !== 'LOGIN') return unknownMechanism504;
    if (!conversation.takesPassword) return encryptionRequired538;
    return rest.length > 0 ? badResponse501 : { mechanism, initial };
  },
  // The stage comes after the password, which may take several lines: see `verify`.
  ask: asksNobody,
  proceed: (conversation, { mechanism, initial }) => (mechanism === 'PLAIN' ? plain : login)(conversation, initial),
};

function plain(conversation: Conversation, initial: string | undefined): Answer {
  const finish = (response: string): Answer => {
    const credentials = decodePlain(response);
    return credentials === undefined ? badResponse501 : verify(conversation, credentials, 'PLAIN');
  };
  return initial === undefined ? challenge(conversation, PLAIN_CHALLENGE, finish) : finish(initial);
}

function login(conversation: Conversation, initial: string | undefined): Answer {
  const withName = (response: string): Answer => {
    const name = decodeLoginResponse(response);
    if (name === undefined) return badResponse501;
    return challenge(conversation, PASSWORD_CHALLENGE, (line) => {
      const password = decodeLoginResponse(line);
      return password === undefined ? badResponse501 : verify(conversation, { name, password }, 'LOGIN');
    });
  };
  return initial === undefined ? challenge(conversation, NAME_CHALLENGE, withName) : withName(initial);
}

/** Sends a challenge; the next line, unless it is the `*` that cancels, goes to `then`. */
function challenge(conversation: Conversation, reply: Reply, then: (response: string) => Answer): Reply {
  conversation.read({
    of: 'dialog',
    next: (line) => {
      conversation.read();
      return line === '*' ? authenticationCancelled501 : then(line);
    },
  });
  return reply;
}

async function verify(conversation: Conversation, { name, password }: PlainCredentials, mechanism: string): Promise<Reply> {
  const { ports, peer } = conversation;
  // No user has an empty name or password; the authenticator need not be asked.
  if (name === '' || password === '') return refuseLogin(conversation, name, badCredentials535, 'empty');
  let result;
  try {
    result = await ports.authenticator.check(name, password, peer.address);
  } catch (cause) {
    conversation.log('error', 'smtp.auth-failed', { cause });
    return authenticationUnavailable454;
  }
  if (!result.ok) {
    return refuseLogin(
      conversation,
      name,
      result.why === 'throttled' ? authenticationUnavailable454 : badCredentials535,
      result.why,
    );
  }
  const { user } = result;
  return await afterVerdict(ports.hooks.auth?.({ session: conversation.facts, user, mechanism }) ?? null, (verdict) => {
    const refusal = refusalOf(verdict);
    if (refusal !== undefined) {
      conversation.logRefusal('auth', refusal, { user, plugin: verdict.plugin, cause: verdict.cause });
      return refusal;
    }
    conversation.authenticated(user);
    conversation.keep('auth', verdict);
    return authenticated235;
  });
}

function refuseLogin(conversation: Conversation, name: string, reply: Reply, cause: string): Reply {
  conversation.logRefusal('auth', reply, { user: name.slice(0, 100), cause });
  return reply;
}
