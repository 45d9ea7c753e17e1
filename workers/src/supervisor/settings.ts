/**
 * Reads all that the server works from: configuration, users, certificate. Called by the supervisor at start and at each
 * reload, and by `posthorn check`. All or nothing: what is wrong is a SettingsError with every problem in its text.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import { type Config, explain, loadConfig, loadUsers, type Problem } from '@posthorn/config';
import { ensureCertificate, selfSignedPath } from './certificate.ts';
import type { Settings } from '../ipc.ts';

/** The operator's files do not do; the message is for the operator, a line or more for each problem. */
export class SettingsError extends Error {
  override readonly name = 'SettingsError';
}

/** @throws SettingsError */
export function readConfig(file: string): Config {
  const result = loadConfig(file);
  if (!result.ok) throw new SettingsError(textOf(result.problems));
  const { data } = result.config;
  if (existsSync(data) && !statSync(data).isDirectory()) throw new SettingsError(`data: ${data} is a file, not a folder`);
  return result.config;
}

/** @throws SettingsError */
export function readUsers(config: Config) {
  const result = loadUsers(config.users);
  if (!result.ok) throw new SettingsError(textOf(result.problems));
  return result.users;
}

function textOf(problems: readonly Problem[]): string {
  return explain(problems).trimEnd();
}

/**
 * Reads everything anew.
 * @param onSelfSigned called with the file when a self-signed certificate had to be made
 * @throws SettingsError; the system's error when the data folder cannot be written
 */
export async function readSettings(file: string, onSelfSigned?: (file: string) => void): Promise<Settings> {
  const config = readConfig(file);
  const users = readUsers(config);
  if (config.tls !== undefined) return { config, users, tls: readCertificate(config.tls), hostname: config.hostname };
  const { certificate, key, made } = await ensureCertificate(config.data, config.hostname, Date.now());
  if (made) onSelfSigned?.(selfSignedPath(config.data));
  return { config, users, tls: { certificate, key }, hostname: config.hostname };
}

/**
 * Reads the operator's certificate and key and sees that they belong together and can be used.
 * @throws SettingsError
 */
export function readCertificate(tls: NonNullable<Config['tls']>): Settings['tls'] {
  const certificate = readPem(tls.certificate, 'tls.certificate');
  const key = readPem(tls.key, 'tls.key');
  let belongs: boolean;
  try {
    belongs = new X509Certificate(certificate).checkPrivateKey(createPrivateKey(key));
  } catch (error) {
    const which = certificate.includes('-----BEGIN CERTIFICATE-----')
      ? `tls.key: ${tls.key}`
      : `tls.certificate: ${tls.certificate}`;
    throw new SettingsError(`${which} is no usable PEM file: ${messageOf(error)}`, { cause: error });
  }
  if (!belongs) throw new SettingsError(`tls.key: ${tls.key} is not the key of ${tls.certificate}`);
  try {
    // As each session thread does it: keys that are too short, or a chain with a broken certificate in it, show here.
    createSecureContext({ cert: certificate, key });
  } catch (error) {
    throw new SettingsError(`tls.certificate: ${tls.certificate} cannot be used: ${messageOf(error)}`, { cause: error });
  }
  return { certificate, key };
}

function readPem(file: string, key: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new SettingsError(`${key}: ${file} cannot be read: ${messageOf(error)}`, { cause: error });
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
