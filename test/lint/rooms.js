/**
 * Which room may import which, as a lint rule; the message names what is allowed. The picture: docs/overview.md.
 * A room is a folder of core/src or workers/src, or a whole package. Tests may import anything.
 */

/** Room -> rooms, or single files, it may import besides itself and its house's common room. */
const CORE = {
  wire: [],
  mail: ['wire'],
  observe: [],
  hook: ['wire', 'mail', 'smtp/ports'],
  auth: ['wire', 'mail', 'directory/directory'],
  queue: ['wire', 'mail'],
  maildrop: ['wire', 'mail', 'pop3/ports'],
  directory: ['wire', 'mail'],
  dns: ['wire', 'mail'],
  smtp: ['wire', 'mail', 'hook', 'auth', 'directory'],
  pop3: ['wire', 'mail', 'hook', 'auth', 'directory', 'maildrop'],
  delivery: ['wire', 'mail', 'hook', 'auth', 'queue', 'maildrop', 'directory', 'dns'],
  dispatch: ['wire', 'mail', 'smtp', 'pop3', 'delivery'],
  wiring: ['wire', 'mail', 'hook', 'auth', 'queue', 'maildrop', 'directory', 'dns', 'smtp', 'pop3', 'delivery', 'dispatch'],
};

/** The same in workers/src; files beside the rooms are common to all of them and import none. */
const WORKERS = {
  plugin: [],
  hook: ['plugin'],
  session: ['plugin', 'hook'],
  server: ['plugin', 'hook', 'session'],
  control: ['server'],
  supervisor: ['control'],
  cli: ['plugin', 'server', 'control', 'supervisor'],
};

const HOUSES = { core: { rooms: CORE, common: 'observe' }, workers: { rooms: WORKERS, common: '' } };

/** Package -> packages it may import. */
const PACKAGES = {
  config: [],
  core: ['config'],
  sdk: ['core'],
  plugin: ['sdk'],
  workers: [
    'config',
    'core',
    'sdk',
    'bayes',
    'clamav',
    'sender-auth',
    'mta-sts',
    'queue-level',
    'queue-memory',
    'users-http',
    'users-ldap',
  ],
};

/** One library, one room. */
const LIBRARIES = {
  level: /^plugins\/(queue-level|bayes)\//,
  jose: /^core\/src\/auth\//,
  ldapts: /^plugins\/users-ldap\//,
  piscina: /^workers\/src\/hook\/pool/,
  mailauth: /^plugins\/sender-auth\//,
  'mailauth/lib/mta-sts.js': /^plugins\/mta-sts\//,
  yaml: /^config\//,
  inversify: /^core\/src\/wiring\//,
  'reflect-metadata': /^core\/src\/wiring\//,
  commander: /^workers\/src\/cli\//,
  pino: /^workers\/src\/log/,
  'node:net': /^(core\/src\/(dispatch|wiring|delivery\/remote)|workers\/src|plugins\/(clamav|sender-auth))\//,
  'node:tls': /^(core\/src\/(dispatch|delivery\/remote|wiring)|workers\/src)\//,
  'node:child_process': /^workers\/src\/supervisor\/(master|slot)/,
};

/** The package a file belongs to, and its room where the package has rooms. */
function roomOf(file) {
  const path = file.replaceAll('\\', '/');
  const inHouse = /(?:^|\/)(core|workers)\/src\/(?:([^/]+)\/)?[^/]*(?:\/|\.ts$)/.exec(path);
  if (inHouse) return { package: inHouse[1], room: inHouse[2] ?? '' };
  const plugin = /(?:^|\/)plugins\/([^/]+)\/src\//.exec(path);
  if (plugin) return { package: plugin[1] === 'sdk' ? 'sdk' : 'plugin' };
  return /(?:^|\/)config\/src\//.test(path) ? { package: 'config' } : undefined;
}

/** The room and file of the same package that a relative import leads to, or undefined. */
function targetOf(source, file) {
  if (!source.startsWith('.')) return undefined;
  const path = new URL(source, `file://${file.replaceAll('\\', '/')}`).pathname;
  const match = /\/(?:core|workers)\/src\/(?:([^/]+)\/)?(.+?)\.ts$/.exec(path);
  return match ? { room: match[1] ?? '', file: `${match[1]}/${match[2]}` } : undefined;
}

const direction = {
  create(context) {
    const file = context.filename;
    const here = roomOf(file);
    if (here === undefined || /\.(test|prop)\.ts$/.test(file)) return {};
    const inProject = /(?:^|\/)((?:core|config|workers|plugins)\/.*)$/.exec(file.replaceAll('\\', '/'))?.[1] ?? file;

    function check(node) {
      const source = node.source?.value;
      if (typeof source !== 'string') return;
      const library = LIBRARIES[source];
      if (library !== undefined && !library.test(inProject)) {
        context.report({ node, message: `'${source}' has one room (${library.source}), and ${inProject} is not it.` });
      }
      const toPackage = /^@posthorn\/([^/]+)/.exec(source)?.[1];
      const fromPackage = here.package;
      if (toPackage !== undefined && !PACKAGES[fromPackage].includes(toPackage)) {
        context.report({
          node,
          message: `${fromPackage} may import ${PACKAGES[fromPackage].join(', ') || 'no package'}, not @posthorn/${toPackage}.`,
        });
      }
      if (toPackage === 'config' && fromPackage === 'core' && here.room !== 'wiring' && node.importKind !== 'type') {
        context.report({
          node,
          message: `core takes the types of options from @posthorn/config, nothing else: use 'import type'.`,
        });
      }
      const house = HOUSES[here.package];
      const target = house === undefined ? undefined : targetOf(source, file);
      if (target === undefined || target.room === here.room || target.room === house.common) return;
      const allowed = house.rooms[here.room] ?? [];
      if (!allowed.includes(target.room) && !allowed.includes(target.file)) {
        context.report({
          node,
          message: `${here.package}/${here.room} may import ${[...allowed, house.common || 'what is beside the rooms'].join(', ')}; not ${here.package}/${target.file}.`,
        });
      }
    }
    return { ImportDeclaration: check, ExportNamedDeclaration: check, ExportAllDeclaration: check };
  },
};

export default { meta: { name: 'rooms' }, rules: { direction } };
