/** The quick stories of exchange/stories.ts with every peer that is here; `npm run test:interop` tells all of them. */
import { afterAll, beforeAll, describe, it } from 'vitest';
import { missing } from '../lib/peers/install.ts';
import { PEERS, peerNames, type Rig, startRig } from './exchange/rig.ts';
import { stories, users } from './exchange/stories.ts';
import { type Story, userOf } from './exchange/story.ts';

for (const name of peerNames) {
  const absent = missing(PEERS[name].needs);
  if (absent.length > 0) console.warn(`NOT TESTED: ${name}: not installed: ${absent.join(', ')}`);
  describe.skipIf(absent.length > 0 || process.getuid?.() !== 0)(name, () => {
    let rig: Rig;
    beforeAll(async () => {
      rig = await startRig(name, users);
    });
    afterAll(() => rig.stop());
    const isQuick = ({ quick }: Story) => quick === true || quick?.includes(name) === true;
    for (const story of stories.filter((one) => isQuick(one) && one.beyond?.[name] === undefined)) {
      it(`${story.way}: ${story.name}`, async () => void (await story.run(rig, userOf(story))));
    }
  });
}
