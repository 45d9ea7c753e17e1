/** A slapd of our own on a loopback port, from a temporary folder, with a few people in it; as Debian's user `openldap`, where this is root. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePorts, run, start, stop, tempFolder, waitForPort } from '../process.ts';
import { program } from './install.ts';

export interface SlapdOptions {
  /** `sendAs` is in the attribute `description`. */
  readonly people: readonly {
    readonly name: string;
    readonly addresses: readonly string[];
    readonly sendAs?: readonly string[];
  }[];
  /** Of everybody. */
  readonly password: string;
}

export interface Slapd {
  readonly port: number;
  readonly base: string;
  /** Who may search, and a file with the password. */
  readonly bindDn: string;
  readonly bindPasswordFile: string;
  stop(): Promise<void>;
}

const BASE = 'dc=example,dc=test';
const READER = `cn=reader,${BASE}`;

/** Starts an instance and waits for its port. */
export async function startSlapd(options: SlapdOptions): Promise<Slapd> {
  const folder = tempFolder('slapd');
  const at = (name: string) => join(folder.path, name);
  const [port] = (await freePorts(1)) as [number];
  const slapd = program('slapd');
  mkdirSync(at('db'));
  writeFileSync(at('slapd.conf'), configText(folder.path));
  writeFileSync(at('people.ldif'), ldifText(options));
  writeFileSync(at('reader'), 'reads\n');
  await run([slapd, '-T', 'add', '-f', at('slapd.conf'), '-l', at('people.ldif')], { cwd: folder.path });
  const isRoot = process.getuid?.() === 0;
  if (isRoot) await run(['chown', '-R', 'openldap', folder.path]);
  const owner = isRoot ? ['-u', 'openldap', '-g', 'openldap'] : [];
  const address = `ldap://127.0.0.1:${port}`;
  const running = await start([slapd, '-d', '0', ...owner, '-f', at('slapd.conf'), '-h', address], { cwd: folder.path });
  try {
    await waitForPort(port, { running, greets: false });
  } catch (error) {
    await stop(running);
    folder.remove();
    throw error;
  }
  return {
    port,
    base: BASE,
    bindDn: READER,
    bindPasswordFile: at('reader'),
    stop: async () => {
      await stop(running);
      folder.remove();
    },
  };
}

/** Passwords are for binding only, and the reader alone sees who is there. */
function configText(folder: string): string {
  return `${['core', 'cosine', 'inetorgperson'].map((name) => `include /etc/ldap/schema/${name}.schema\n`).join('')}
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile ${folder}/pid
database mdb
suffix "${BASE}"
rootdn "cn=admin,${BASE}"
directory ${folder}/db
access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact="${READER}" read by * none
`;
}

function ldifText({ people, password }: SlapdOptions): string {
  const encoded = (text: string) => Buffer.from(text).toString('base64');
  const entries = people.map(({ name, addresses, sendAs = [] }, index) =>
    [
      `dn: cn=person ${index},${BASE}`,
      'objectClass: inetOrgPerson',
      `cn: person ${index}`,
      'sn: person',
      `uid:: ${encoded(name)}`,
      ...addresses.map((address) => `mail: ${address}`),
      ...sendAs.map((sender) => `description: ${sender}`),
      `userPassword:: ${encoded(password)}`,
    ].join('\n'),
  );
  const root = `dn: ${BASE}\nobjectClass: dcObject\nobjectClass: organization\no: test\ndc: example`;
  const reader = `dn: ${READER}\nobjectClass: organizationalRole\nobjectClass: simpleSecurityObject\ncn: reader\nuserPassword: reads`;
  return `${[root, reader, ...entries].join('\n\n')}\n`;
}
