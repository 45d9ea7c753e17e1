import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { configSchema, type Config } from '@posthorn/config';
import type { Log } from '@posthorn/core/observe/log';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { TlsMaterial } from '../ipc.ts';
import { ensureCertificate } from './certificate.ts';
import { readTls } from './tls-files.ts';
import { TlsUpkeep } from './tls-upkeep.ts';

const HOUR_MS = 3_600_000;
let folder: string;
let nowMs: number;
let told: { event: string; [field: string]: unknown }[];
let changes: { tls: TlsMaterial; ticketKeys: Uint8Array }[];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tls-upkeep-'));
  nowMs = Date.now();
  told = [];
  changes = [];
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const note = (event: string, fields = {}) => void told.push({ event, ...fields });
const log: Log = { debug: note, info: note, warn: note, error: note, with: () => log };
const file = (name: string) => join(folder, name);

async function make(name: string) {
  return ensureCertificate(file(name), 'mx.example.org', Date.now());
}

async function upkeepOf(tls: Record<string, unknown> = {}): Promise<TlsUpkeep> {
  const own = { certificate: file('cert.pem'), key: file('key.pem'), ...tls };
  const config: Config = { ...configSchema.parse({ tls: own }), hostname: 'mx.example.org' };
  const options = {
    log,
    now: () => nowMs,
    inTurn: (look: () => Promise<void>) => look(),
    read: (about: Config) => readTls(about),
    onChange: (material: TlsMaterial, ticketKeys: Uint8Array) => void changes.push({ tls: material, ticketKeys }),
  };
  return new TlsUpkeep(options, config, await readTls(config));
}

describe('changed certificates', () => {
  it('are taken up once their files have settled, and never half', async () => {
    const [first, second] = [await make('first'), await make('second')];
    writeFileSync(file('cert.pem'), first.certificate);
    writeFileSync(file('key.pem'), first.key);
    const upkeep = await upkeepOf();
    await upkeep.look();
    expect(changes).toEqual([]);

    writeFileSync(file('cert.pem'), second.certificate);
    await upkeep.look();
    expect(told).toEqual([]);
    for (let looks = 0; looks < 3; looks++) await upkeep.look();
    expect(changes).toEqual([]);
    expect(told).toEqual([
      {
        event: 'certificates-not-changed',
        problem: expect.stringMatching(/key\.pem is not the key of/) as string,
        effect: 'the former certificates stay in force',
      },
    ]);

    // As tools do it: a new file in the place of the old one.
    writeFileSync(file('key.new'), second.key);
    renameSync(file('key.new'), file('key.pem'));
    await upkeep.look();
    await upkeep.look();
    expect(changes).toHaveLength(1);
    expect(changes[0]?.tls.identities[0]?.certificate).toBe(second.certificate);
    expect(told.at(-1)?.event).toBe('certificates-changed');
    await upkeep.look();
    expect(changes).toHaveLength(1);
  });

  it('that came while a reload was under way are not passed over', async () => {
    const [first, second] = [await make('first'), await make('second')];
    writeFileSync(file('cert.pem'), first.certificate);
    writeFileSync(file('key.pem'), first.key);
    const upkeep = await upkeepOf();
    const config: Config = {
      ...configSchema.parse({ tls: { certificate: file('cert.pem'), key: file('key.pem') } }),
      hostname: 'mx.example.org',
    };
    const readBefore = await readTls(config);
    writeFileSync(file('cert.pem'), second.certificate);
    writeFileSync(file('key.pem'), second.key);
    upkeep.adopt(config, readBefore);
    await upkeep.look();
    expect(changes.map(({ tls }) => tls.identities[0]?.certificate)).toEqual([second.certificate]);
    // Written anew with what is in force already: nothing to take up.
    writeFileSync(file('cert.pem'), second.certificate);
    for (let looks = 0; looks < 3; looks++) await upkeep.look();
    expect(changes).toHaveLength(1);
  });

  it('that are gone leave the former ones in force', async () => {
    const { certificate, key } = await make('first');
    writeFileSync(file('cert.pem'), certificate);
    writeFileSync(file('key.pem'), key);
    const upkeep = await upkeepOf();
    rmSync(file('key.pem'));
    await upkeep.look();
    await upkeep.look();
    expect(changes).toEqual([]);
    expect(told).toMatchObject([
      { event: 'certificates-not-changed', problem: expect.stringMatching(/cannot be read/) as string },
    ]);
  });
});

describe('keys of session tickets', () => {
  const pair = async () => {
    const { certificate, key } = await make('first');
    writeFileSync(file('cert.pem'), certificate);
    writeFileSync(file('key.pem'), key);
  };

  it('are replaced when they are old enough, and the certificates stay', async () => {
    await pair();
    const upkeep = await upkeepOf({ ticketRotation: HOUR_MS });
    const before = upkeep.ticketKeys;
    await upkeep.look();
    expect(changes).toEqual([]);
    nowMs += HOUR_MS;
    await upkeep.look();
    expect(changes).toHaveLength(1);
    expect(changes[0]?.ticketKeys).toHaveLength(48);
    expect(changes[0]?.ticketKeys).not.toEqual(before);
    expect(upkeep.ticketKeys).toEqual(changes[0]?.ticketKeys);
  });

  it('are the same on machines with one secret, at each time, and on no others', async () => {
    await pair();
    writeFileSync(file('secret'), Buffer.alloc(32, 7));
    writeFileSync(file('other'), Buffer.alloc(32, 8));
    const [here, there, stranger, alone] = [
      await upkeepOf({ ticketSecret: file('secret') }),
      await upkeepOf({ ticketSecret: file('secret') }),
      await upkeepOf({ ticketSecret: file('other') }),
      await upkeepOf(),
    ];
    expect(here.ticketKeys).toEqual(there.ticketKeys);
    for (const other of [stranger, alone]) expect(other.ticketKeys).not.toEqual(here.ticketKeys);
    const before = here.ticketKeys;
    nowMs += 6 * HOUR_MS;
    await here.look();
    await there.look();
    expect(here.ticketKeys).toEqual(there.ticketKeys);
    expect(here.ticketKeys).not.toEqual(before);
  });

  it('come from no secret that is too short', async () => {
    await pair();
    writeFileSync(file('secret'), 'short');
    await expect(upkeepOf({ ticketSecret: file('secret') })).rejects.toThrow(/secret has less than 32 bytes/);
  });
});

it('a certificate that ends soon is told of once a day', async () => {
  const { certificate, key } = await make('first');
  writeFileSync(file('cert.pem'), certificate);
  writeFileSync(file('key.pem'), key);
  const upkeep = await upkeepOf();
  await upkeep.look();
  expect(told).toEqual([]);
  nowMs += (3650 - 10) * 24 * HOUR_MS;
  for (let looks = 0; looks < 3; looks++) await upkeep.look();
  const soon = told.filter(({ event }) => event === 'certificate-expires');
  expect(soon).toHaveLength(1);
  expect(soon[0]?.['names']).toContain('mx.example.org');
  nowMs += 20 * 24 * HOUR_MS;
  await upkeep.look();
  expect(told.at(-1)?.event).toBe('certificate-expired');
});
