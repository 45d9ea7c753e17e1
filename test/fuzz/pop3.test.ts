import { it } from 'vitest';
import { fuzzPop3 } from './pop3.ts';

it('the POP3 session keeps its promises whatever bytes and events come', async () => {
  await fuzzPop3(6000, 1);
});
