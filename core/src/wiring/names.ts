/** The names under which the container knows the ports; each is bound in exactly one place of this room. */
import type { BufferPool } from '../wire/buffer-pool.ts';
import type { ServiceIdentifier } from 'inversify';
import type { Config } from '@posthorn/config';
import type { Authenticator } from '../auth/authenticator.ts';
import type { Directory, MayWriteAs } from '../directory/directory.ts';
import type { Pipeline } from '../hook/contract.ts';
import type { Clock } from '../mail/clock.ts';
import type { Counters } from '../observe/counters.ts';
import type { Log } from '../observe/log.ts';
import type { MaildropOpener, Pop3Ports, Retention } from '../pop3/ports.ts';
import type { MessageSink, Scoring, SmtpPorts } from '../smtp/ports.ts';

function name<T>(text: string): ServiceIdentifier<T> {
  return Symbol(text);
}

export const Names = {
  config: name<Config>('config'),
  clock: name<Clock>('clock'),
  log: name<Log>('log'),
  counters: name<Counters>('counters'),
  newId: name<() => string>('newId'),
  directory: name<Directory>('directory'),
  mayWriteAs: name<MayWriteAs>('mayWriteAs'),
  authenticator: name<Authenticator>('authenticator'),
  pipeline: name<Pipeline>('pipeline'),
  scoring: name<Scoring>('scoring'),
  mayRelay: name<(clientAddress: string) => boolean>('mayRelay'),
  sink: name<MessageSink>('sink'),
  full: name<SmtpPorts['full']>('full'),
  retention: name<Retention>('retention'),
  buffers: name<BufferPool>('buffers'),
  maildrops: name<MaildropOpener>('maildrops'),
  smtpPorts: name<SmtpPorts>('smtpPorts'),
  pop3Ports: name<Pop3Ports>('pop3Ports'),
};
