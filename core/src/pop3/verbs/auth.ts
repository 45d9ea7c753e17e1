/**
 * AUTH (RFC 5034): the lines and replies of a SASL exchange, with a response in the same line or in the next one; `*`
 * gives up. The mechanisms are in core/src/auth; where one succeeds the session goes on as after PASS (pop3/login.ts).
 * AUTH alone lists mechanisms, as clients older than CAPA want it.
 */
import {
  decodeInitialResponse,
  decodeResponse,
  findMechanism,
  type SaslContext,
  type SaslStep,
  usableMechanisms,
} from '../../auth/sasl.ts';
import type { AuthorizationState, Conversation } from '../conversation.ts';
import { enter, mayLogIn, passwordMayCome, refuseLogin } from '../login.ts';
import { ok, refuse, type Outcome } from '../outcome.ts';
import { when } from '../when.ts';

export function auth(c: Conversation, _state: AuthorizationState, argument: string | undefined): Outcome | Promise<Outcome> {
  const context = saslContextOf(c);
  if (argument === undefined) return listMechanisms(c, context);
  const [name = '', word, ...more] = argument.split(' ');
  const mechanism = findMechanism(name, context);
  if (mechanism === undefined) return refuse(c.texts.unknownMechanism);
  if (more.length > 0) return refuse(c.texts.oneResponse);
  const refused = passwordMayCome(c);
  if (refused !== undefined) return refused;
  if (word === undefined) return take(c, mechanism.name, mechanism.start(context, undefined));
  if (word === '*') return refuse(c.texts.authGivenUp);
  const initial = decodeInitialResponse(word);
  return initial === undefined ? refuse(c.texts.notBase64) : take(c, mechanism.name, mechanism.start(context, initial));
}

export function saslContextOf(c: Conversation): SaslContext {
  return {
    authenticator: c.ports.authenticator,
    clientAddress: c.facts.clientAddress,
    hostname: c.profile.hostname,
    tls: c.tls,
    takesPassword: mayLogIn(c),
  };
}

function listMechanisms(c: Conversation, context: SaslContext): Outcome {
  const names = usableMechanisms(context);
  if (names.length === 0) return passwordMayCome(c) ?? refuse(c.texts.noMechanisms);
  return ok(c.texts.mechanisms, { body: [Buffer.from([...names, '.', ''].join('\r\n'), 'latin1')] });
}

function take(c: Conversation, mechanism: string, step: SaslStep | Promise<SaslStep>): Outcome | Promise<Outcome> {
  return when(step, (taken) => outcomeOf(c, mechanism, taken));
}

function outcomeOf(c: Conversation, mechanism: string, step: SaslStep): Outcome | Promise<Outcome> {
  if (step.is === 'success') return enter(c, step.user, mechanism);
  if (step.is === 'failure')
    return step.why === 'malformed' ? refuse(c.texts.malformedResponse(mechanism)) : refuseLogin(c, step.name, step.why);
  const { challenge, next } = step;
  return {
    line: `+ ${Buffer.from(challenge).toString('base64')}\r\n`,
    fault: false,
    next: (line) => {
      if (line === '*') return refuse(c.texts.authGivenUp);
      const response = decodeResponse(line);
      return response === undefined ? refuse(c.texts.notBase64) : take(c, mechanism, next(response));
    },
  };
}
