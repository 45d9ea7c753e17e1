/**
 * SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 5802, RFC 7677): the client proves its password without sending it, and the
 * server proves in turn that it knows it. PLUS ties the login to this TLS connection (RFC 5929, RFC 9266), so that
 * nobody between the two can pass it on; a client that could do so and was kept from seeing PLUS is refused (§6).
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { ChannelBinding } from '../../wire/session.ts';
import type { ScramLogin } from '../authenticator.ts';
import { clientFirst, malformed, textOf } from '../sasl-text.ts';
import { saslPrepared } from '../sasl-prep.ts';
import type { SaslContext, SaslMechanism, SaslStep } from '../sasl.ts';
import { hmac, SCRAM_KEY_BYTES } from '../scram-keys.ts';

export const scramSha256 = scram('SCRAM-SHA-256', false);
export const scramSha256Plus = scram('SCRAM-SHA-256-PLUS', true);

const MAX_NAME_BYTES = 255;
/** Of the client; a longer one only makes work. */
const MAX_NONCE_LENGTH = 128;

/** gs2-header, then the bare message: name and nonce first, extensions behind; a mandatory one (`m=`) is for nobody here. */
const CLIENT_FIRST = /^((?:(n|y)|p=([A-Za-z0-9.-]+)),(?:a=([^,\0]+))?,)(n=([^,\0]+),r=([!-+\--~]+)(?:,[A-Za-z]=[^,\0]+)*)$/;
const CLIENT_FINAL = /^(c=([A-Za-z0-9+/=]+),r=([!-+\--~]+)(?:,[A-Za-z]=[^,\0]+)*),p=([A-Za-z0-9+/]{43}=)$/;

/** What the first message fixed. */
interface Begun {
  readonly name: string;
  readonly login: ScramLogin;
  /** What `c=` has to be, decoded. */
  readonly binding: Buffer;
  readonly nonce: string;
  readonly clientFirstBare: string;
  readonly serverFirst: string;
}

function scram(name: string, plus: boolean): SaslMechanism {
  return {
    name,
    usable: (context) => context.takesPassword && context.authenticator.forms.scram && (!plus || bindsChannel(context)),
    start: (context, initial) => clientFirst(initial, (response) => begin(context, response, plus)),
  };
}

function begin(context: SaslContext, response: Buffer, plus: boolean): SaslStep {
  const [all, header = '', flag, bindingName, rawActAs, clientFirstBare = '', rawName = '', clientNonce = ''] =
    CLIENT_FIRST.exec(textOf(response) ?? '') ?? [];
  const written = nameOf(rawName);
  const actAs = rawActAs === undefined ? undefined : saslPrepared(nameOf(rawActAs) ?? '');
  if (all === undefined || written === undefined || actAs === '' || clientNonce.length > MAX_NONCE_LENGTH)
    return malformed('not a first message of SCRAM');
  const name = saslPrepared(written);
  if ([name, actAs ?? name].some((one) => one === '' || Buffer.byteLength(one) > MAX_NAME_BYTES)) return malformed('no name');
  const refuse = (cause: string): SaslStep => ({ is: 'failure', why: 'credentials', name, cause });
  // RFC 5802 §6: it can bind channels and saw no PLUS, although we offer it: somebody between us took it away.
  if (flag === 'y' && offersPlus(context)) return refuse('channel binding was hidden from the client');
  if (plus !== (bindingName !== undefined))
    return malformed('channel binding belongs to PLUS, and PLUS to channel binding', name);
  const data = bindingName === undefined ? Buffer.alloc(0) : channelData(context.tls?.channelBinding, bindingName);
  if (data === undefined) return refuse(`no channel binding ${bindingName ?? ''} here`);
  const login = context.authenticator.scram(name, context.clientAddress, actAs);
  if (!login.ok) return { is: 'failure', why: login.why, name };
  const { salt, iterations } = login.keys;
  const nonce = clientNonce + context.authenticator.nonce();
  const serverFirst = `r=${nonce},s=${Buffer.from(salt).toString('base64')},i=${iterations}`;
  const begun: Begun = { name, login, binding: Buffer.concat([Buffer.from(header), data]), nonce, clientFirstBare, serverFirst };
  return { is: 'challenge', challenge: serverFirst, next: (line) => finish(begun, line) };
}

async function finish({ name, login, binding, nonce, clientFirstBare, serverFirst }: Begun, response: Buffer): Promise<SaslStep> {
  const [, withoutProof, bindingText = '', shownNonce, proofText = ''] = CLIENT_FINAL.exec(textOf(response) ?? '') ?? [];
  if (withoutProof === undefined) return malformed('not a last message of SCRAM', name);
  const authMessage = `${clientFirstBare},${serverFirst},${withoutProof}`;
  const { storedKey, serverKey } = login.keys;
  const signature = hmac(storedKey, authMessage);
  const proof = Buffer.from(proofText, 'base64');
  const clientKey = Buffer.alloc(SCRAM_KEY_BYTES);
  for (let at = 0; at < SCRAM_KEY_BYTES; at += 1) clientKey[at] = proof[at]! ^ signature[at]!;
  const proven =
    timingSafeEqual(createHash('sha256').update(clientKey).digest(), storedKey) &&
    shownNonce === nonce &&
    Buffer.from(bindingText, 'base64').equals(binding);
  const result = await login.conclude(proven);
  if (!result.ok) return { is: 'failure', why: result.why, name };
  const { user } = result;
  const challenge = `v=${hmac(serverKey, authMessage).toString('base64')}`;
  // Neither protocol has room for data in its success: the client answers the last challenge with nothing.
  return {
    is: 'challenge',
    challenge,
    next: (line) => (line.length === 0 ? { is: 'success', user } : malformed('SCRAM is over', name)),
  };
}

function bindsChannel({ tls }: SaslContext): boolean {
  const binding = tls?.channelBinding;
  return binding !== undefined && (binding.exporter() !== undefined || binding.serverEndPoint() !== undefined);
}

function offersPlus(context: SaslContext): boolean {
  return bindsChannel(context) && (context.authenticator.forms.allowed?.includes('SCRAM-SHA-256-PLUS') ?? true);
}

function channelData(binding: ChannelBinding | undefined, name: string): Uint8Array | undefined {
  if (name === 'tls-exporter') return binding?.exporter();
  return name === 'tls-server-end-point' ? binding?.serverEndPoint() : undefined;
}

/** saslname: `=2C` and `=3D` stand for comma and equals sign, and no other equals sign may be in it. */
function nameOf(raw: string): string | undefined {
  return /=(?!2C|3D)/.test(raw) ? undefined : raw.replace(/=2C/g, ',').replace(/=3D/g, '=');
}
