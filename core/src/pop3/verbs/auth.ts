/**
 * AUTH (RFC 5034): the lines and replies of a SASL exchange, with a response in the same line or in the next one; `*`
 * gives up. The mechanisms are in core/src/auth; where one succeeds the session goes on as after PASS (pop3/login.ts).
 */
import { decodeInitialResponse, decodeResponse, findMechanism, type SaslContext, type SaslStep } from '../../auth/sasl.ts';
import type { AuthorizationState, Conversation } from '../conversation.ts';
import { enter, loginRefusedInClear, mayLogIn, refuseLogin } from '../login.ts';
import { refuse, type Outcome } from '../outcome.ts';
import { when } from '../when.ts';

export function auth(c: Conversation, _state: AuthorizationState, argument: string): Outcome | Promise<Outcome> {
  const [name = '', word, ...more] = argument.split(' ');
  const context = saslContextOf(c);
  const mechanism = findMechanism(name, context);
  if (mechanism === undefined) return refuse('That mechanism is not known here: CAPA names those that are');
  if (more.length > 0) return refuse('Give the mechanism and at most one response');
  if (!context.takesPassword) return loginRefusedInClear(c.profile);
  if (word === undefined) return take(c, mechanism.name, mechanism.start(context, undefined));
  if (word === '*') return refuse('AUTH given up');
  const initial = decodeInitialResponse(word);
  return initial === undefined ? notBase64() : take(c, mechanism.name, mechanism.start(context, initial));
}

export function saslContextOf({ ports, facts, profile, tls }: Conversation): SaslContext {
  return {
    authenticator: ports.authenticator,
    clientAddress: facts.clientAddress,
    hostname: profile.hostname,
    tls,
    takesPassword: mayLogIn(profile, tls !== undefined, facts.clientAddress),
  };
}

function take(c: Conversation, mechanism: string, step: SaslStep | Promise<SaslStep>): Outcome | Promise<Outcome> {
  return when(step, (taken) => outcomeOf(c, mechanism, taken));
}

function outcomeOf(c: Conversation, mechanism: string, step: SaslStep): Outcome | Promise<Outcome> {
  if (step.is === 'success') return enter(c, step.user, mechanism);
  if (step.is === 'failure')
    return step.why === 'malformed' ? refuse(`The response is not what ${mechanism} wants`) : refuseLogin(c, step.name, step.why);
  const { challenge, next } = step;
  return {
    line: `+ ${Buffer.from(challenge).toString('base64')}\r\n`,
    fault: false,
    next: (line) => {
      if (line === '*') return refuse('AUTH given up');
      const response = decodeResponse(line);
      return response === undefined ? notBase64() : take(c, mechanism, next(response));
    },
  };
}

function notBase64(): Outcome {
  return refuse('The response is not base64');
}
