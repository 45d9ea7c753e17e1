/**
 * AUTH (RFC 4954) on submission listeners: the lines and replies of a SASL exchange; the mechanisms are in core/src/auth.
 * In clear nothing is taken but where the listener says so: else 538 before the client has sent anything, where it waits
 * for the challenge. The stage `auth` is asked once the login was found right. Nothing of an exchange is logged or echoed.
 */
import {
  decodeInitialResponse,
  decodeResponse,
  findMechanism,
  type SaslContext,
  type SaslMechanism,
  type SaslStep,
  usableMechanisms,
} from '../../auth/sasl.ts';
import { Reply } from '../../wire/reply.ts';
import type { Conversation } from '../conversation.ts';
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
  readonly mechanism: SaslMechanism;
  /** Decoded; undefined when there was none. */
  readonly initial: Buffer | undefined;
}

export function mayLogIn(conversation: Conversation): Reply | undefined {
  if (conversation.profile.kind !== 'submission') return notImplemented502;
  if (conversation.client.helo === undefined || !conversation.client.extended) return helloFirst503;
  if (conversation.client.user !== undefined) return alreadyAuthenticated503;
  return conversation.transaction === undefined ? undefined : notDuringMail503;
}

export function mechanismAndResponse(conversation: Conversation, argument: string): AuthArguments | Reply {
  if (argument === '') return argumentNeeded501;
  const [name = '', word, ...rest] = argument.split(' ');
  const mechanism = findMechanism(name, contextOf(conversation));
  if (mechanism === undefined) return unknownMechanism504;
  if (!conversation.client.maySendPassword) return encryptionRequired538;
  const initial = word === undefined ? undefined : decodeInitialResponse(word);
  return rest.length > 0 || (word !== undefined && initial === undefined) ? badResponse501 : { mechanism, initial };
}

export function logIn(conversation: Conversation, { mechanism, initial }: AuthArguments): Answer {
  return answer(conversation, mechanism.name, () => mechanism.start(contextOf(conversation), initial));
}

/** What EHLO announces: the mechanisms that can be used as things are; undefined when there are none. */
export function offerOfAuth(conversation: Conversation): string | undefined {
  if (conversation.profile.kind !== 'submission' || !conversation.client.maySendPassword) return undefined;
  const names = usableMechanisms(contextOf(conversation));
  return names.length === 0 ? undefined : `AUTH ${names.join(' ')}`;
}

function contextOf({ ports, profile, client }: Conversation): SaslContext {
  const { authenticator } = ports;
  const { address: clientAddress, tls, maySendPassword: takesPassword } = client;
  return { authenticator, clientAddress, hostname: profile.hostname, tls, takesPassword };
}

/** Takes one step of an exchange and answers it. */
function answer(conversation: Conversation, mechanism: string, take: () => SaslStep | Promise<SaslStep>): Answer {
  const step = take();
  if (!(step instanceof Promise)) return replyTo(conversation, mechanism, step);
  return step.then(
    (taken) => replyTo(conversation, mechanism, taken),
    (cause: unknown) => {
      conversation.log('error', 'smtp.auth-failed', { cause });
      return authenticationUnavailable454;
    },
  );
}

function replyTo(conversation: Conversation, mechanism: string, step: SaslStep): Answer {
  if (step.is === 'success') return succeed(conversation, mechanism, step.user);
  if (step.is === 'failure') {
    if (step.why === 'malformed') return badResponse501;
    const reply = step.why === 'throttled' ? authenticationUnavailable454 : badCredentials535;
    conversation.logRefusal('auth', reply, { user: step.name.slice(0, 100), mechanism, cause: step.cause ?? step.why });
    return reply;
  }
  const { challenge, next } = step;
  conversation.read({
    of: 'dialog',
    next: (line) => {
      conversation.read();
      if (line === '*') return authenticationCancelled501;
      const response = decodeResponse(line);
      return response === undefined ? badResponse501 : answer(conversation, mechanism, () => next(response));
    },
  });
  return new Reply(334, '', Buffer.from(challenge).toString('base64'));
}

function succeed(conversation: Conversation, mechanism: string, user: string): Answer {
  const asked = conversation.ports.hooks.auth?.({ session: conversation.client.facts, user, mechanism }) ?? null;
  return afterVerdict(asked, (verdict) => {
    const refusal = refusalOf(verdict);
    if (refusal !== undefined) {
      conversation.logRefusal('auth', refusal, { user, plugin: verdict.plugin, cause: verdict.cause });
      return refusal;
    }
    conversation.client.authenticated(user);
    conversation.findings.keep('auth', verdict);
    return authenticated235;
  });
}
