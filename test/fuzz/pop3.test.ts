import { it } from 'vitest';
import { pop3Target } from './pop3.ts';
import { playRounds } from './target.ts';

it('the POP3 session keeps its promises whatever bytes and events come', async () => {
  await playRounds(pop3Target, 6000, 1);
});
