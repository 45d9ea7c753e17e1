/**
 * Every story of exchange/stories.ts with every peer: `npm run test:interop [-- --install] [-- NAME …] [-- story=TEXT]`,
 * where NAME is Postfix, Exim or OpenSMTPD, and TEXT a part of the names of the stories that are wanted. Prints what was seen and `N passed, N failed, N skipped`; fails when something failed. A peer
 * that is not here is skipped loudly.
 */
import { install, missing } from '../lib/peers/install.ts';
import { PEERS, type PeerName, peerNames, startRig } from './exchange/rig.ts';
import { stories as all, users } from './exchange/stories.ts';
import { type Story, userOf } from './exchange/story.ts';

interface Row {
  readonly peer: string;
  readonly story: Story;
  readonly result: 'passed' | 'failed' | 'skipped' | 'beyond';
  readonly seen: string;
}

const args = process.argv.slice(2);
const part = args.find((arg) => arg.startsWith('story='))?.slice('story='.length) ?? '';
const stories = all.filter(({ name }) => name.includes(part));

async function tell(name: PeerName): Promise<Row[]> {
  const absent = missing(PEERS[name].needs);
  if (absent.length > 0) {
    const seen = `not installed: ${absent.join(', ')}`;
    console.error(`NOT TESTED: ${name}: ${seen}; as root: npm run test:interop -- --install`);
    return stories.map((story) => ({ peer: name, story, result: 'skipped', seen }));
  }
  const rig = await startRig(name, users);
  const rows: Row[] = [];
  const told = (row: Row) => {
    rows.push(row);
    console.error(`${row.result}: ${row.peer}, ${row.story.way}, ${row.story.name}: ${row.seen}`);
  };
  try {
    for (const story of stories) {
      const beyond = story.beyond?.[name];
      if (beyond !== undefined) {
        told({ peer: rig.peer.name, story, result: 'beyond', seen: beyond });
        continue;
      }
      await story.run(rig, userOf(story)).then(
        (seen) => told({ peer: rig.peer.name, story, result: 'passed', seen }),
        (error: unknown) => told({ peer: rig.peer.name, story, result: 'failed', seen: String(error) }),
      );
    }
  } finally {
    await rig.stop();
  }
  return rows;
}

function print(rows: readonly Row[]): void {
  console.log('| peer | way | story | | seen |\n|---|---|---|---|---|');
  for (const { peer, story, result, seen } of rows) {
    console.log(`| ${peer} | ${story.way} | ${story.name} | ${result} | ${seen.split('\n')[0]} |`);
  }
}

const named = peerNames.filter((name) => args.includes(name));
const wanted = named.length > 0 ? named : peerNames;
if (args.includes('--install')) await install(wanted.flatMap((name) => PEERS[name].needs));
const rows: Row[] = [];
for (const name of wanted) {
  try {
    rows.push(...(await tell(name)));
  } catch (error) {
    // A peer that does not even start has failed in every story; the others have theirs to tell.
    console.error(error);
    rows.push(...stories.map((story): Row => ({ peer: name, story, result: 'failed', seen: 'did not start' })));
  }
}
print(rows);
const count = (result: Row['result']) => rows.filter((row) => row.result === result).length;
console.log(
  `\n${count('passed')} passed, ${count('failed')} failed, ${count('skipped')} skipped (${count('beyond')} beyond the peer)`,
);
if (count('failed') > 0 || count('passed') === 0) process.exitCode = 1;
