/**
 * Changes one user in the file of users, for the commands `posthorn user …`: atomically, and touching no more of the text
 * than what becomes another. Comments stand behind single keys and among the items of lists, and entries may share values
 * by anchors.
 */
import { existsSync, realpathSync } from 'node:fs';
import { Document, isAlias, isMap, isNode, isScalar, isSeq, type Node, type Pair, visit, type YAMLMap } from 'yaml';
import { whileLocked } from './file-lock.ts';
import { given, MAX_FILE_BYTES, readUsersText, type UserEntry, type UsersResult } from './users.ts';
import { writeAtomically } from './write-atomically.ts';
import { keyOf, readText } from './yaml-source.ts';

/**
 * `add`: a user who is not there yet, under no spelling of the name. `edit`: one who is, made of what is there at that
 * moment; the name stays. `remove`: one who is. Names of the two are taken in any case.
 */
export type UsersChange =
  | { readonly add: UserEntry }
  | { readonly edit: string; readonly to: (user: UserEntry) => UserEntry }
  | { readonly remove: string };

/** The keys of an entry. */
type Entry = Readonly<Record<string, unknown>>;

/**
 * Adds, changes or removes one user and writes the file: a new one beside it, synced, renamed over it; mode 0600 when there
 * was none. Comments and order of the rest stay as they are. One command at a time: none loses what another one wrote.
 * @param file path, or a link to the file, which stays one
 * @returns problems when the file there is not valid (it is left alone then), or when the change would make it so
 * @throws Error with a text for the operator when it cannot be written, a user to be added is there, or one to be changed
 *   or removed is not
 */
export function changeUsers(file: string, change: UsersChange): UsersResult {
  const real = existsSync(file) ? realpathSync(file) : file;
  return whileLocked(real, () => changeLocked(real, change));
}

function changeLocked(file: string, change: UsersChange): UsersResult {
  const before = existsSync(file) ? readText(file, MAX_FILE_BYTES) : ({ ok: true, text: '' } as const);
  if (!before.ok) return before;
  const checked = readUsersText(before.text, file);
  if (!checked.ok) return checked;
  const { document, users } = usersOf(checked.source.document);
  const wanted = 'add' in change ? change.add.name : 'edit' in change ? change.edit : change.remove;
  const there = checked.users.find((user) => user.name.toLowerCase() === wanted.toLowerCase());
  if ('add' in change) {
    if (there !== undefined) throw new Error(`there is a user ${there.name} already`);
    // `{}`, as it stands when the last one was removed, would go on in one line.
    if (users.items.length === 0) users.flow = false;
    users.items.push(document.createPair(change.add.name, entryOf(change.add)));
  } else {
    const pair = there === undefined ? undefined : users.items.find((one) => keyOf(one) === there.name);
    if (there === undefined || pair === undefined) throw new Error(`there is no user ${wanted} in ${file}`);
    if ('remove' in change) {
      writeOut(document, new Set([...nodesIn(pair.key), ...nodesIn(pair.value)]));
      users.items.splice(users.items.indexOf(pair), 1);
    } else changeEntry(document, pair, entryOf(there), entryOf(change.to(there)));
  }
  const text = document.toString({ lineWidth: 0 });
  const after = readUsersText(text, file);
  if (!after.ok) return after;
  writeAtomically(file, text);
  return { ok: true, users: after.users };
}

/** The mapping of all users; for a file that has nobody in it a new one, with the comments of that file. */
function usersOf(parsed: Document.Parsed): { document: Document; users: YAMLMap } {
  if (isMap(parsed.contents)) return { document: parsed, users: parsed.contents };
  const document = new Document({});
  document.commentBefore = parsed.commentBefore ?? parsed.comment ?? ' Users of Posthorn. `posthorn user add NAME` writes here.';
  return { document, users: document.contents as YAMLMap };
}

/** A user as the file has it. */
function entryOf({ name: _name, passwordHash, ...rest }: UserEntry): Entry {
  return given({ password: passwordHash, ...rest });
}

/** Changes the keys of one entry that are no longer the same. */
function changeEntry(document: Document, pair: Pair, before: Entry, after: Entry): void {
  const { value: entry } = pair;
  if (!isMap(entry)) {
    // All of it is another user's, by an alias.
    pair.value = document.createNode(after);
    return;
  }
  const changed = [...new Set([...Object.keys(before), ...Object.keys(after)])].filter(
    (key) => JSON.stringify(before[key]) !== JSON.stringify(after[key]),
  );
  writeOut(document, new Set([entry, ...changed.flatMap((key) => nodesIn(entry.get(key, true)))]));
  for (const key of changed) {
    if (after[key] === undefined) entry.delete(key);
    else setValue(document, entry, key, after[key]);
  }
}

/** Scalars are changed where they stand, and lists that grow at their end: what is said of them stays. */
function setValue(document: Document, entry: YAMLMap, key: string, value: unknown): void {
  const old: unknown = entry.get(key, true);
  if (isScalar(old) && !Array.isArray(value)) old.value = value;
  else if (isSeq(old) && Array.isArray(value) && beginsWith(value, old.toJS(document) as unknown[])) {
    for (const item of value.slice(old.items.length)) old.add(document.createNode(item));
  } else entry.set(key, document.createNode(value));
}

function beginsWith(list: readonly unknown[], start: readonly unknown[]): boolean {
  return start.every((item, index) => list[index] === item);
}

/** The node and all that it holds. */
function nodesIn(node: unknown): Node[] {
  if (!isNode(node)) return [];
  const found: Node[] = [];
  visit(node, { Node: (_key, one) => void found.push(one) });
  return found;
}

/**
 * Puts the value in the place of each alias that leads to one of these nodes, which go or become others: who shares a value
 * with a user keeps it as it was.
 */
function writeOut(document: Document, going: ReadonlySet<Node>): void {
  const anchors = new Map<string, Node>();
  visit(document, {
    Node(_key, node) {
      if (!isAlias(node)) {
        if (node.anchor !== undefined && node.anchor !== '') anchors.set(node.anchor, node);
        return undefined;
      }
      // An anchor's name may be given anew: the last one before the alias counts.
      const shared = anchors.get(node.source);
      if (shared === undefined || !going.has(shared)) return undefined;
      return document.createNode(shared.toJS(document), { aliasDuplicateObjects: false }) as Node;
    },
  });
  for (const node of going) if (!isAlias(node)) delete node.anchor;
}
