import { it } from 'vitest';
import { fuzzSmtp } from './smtp.ts';

it('the SMTP session keeps its promises whatever bytes and events come', async () => {
  await fuzzSmtp(8000, 1);
});
