import { it } from 'vitest';
import { smtpTarget } from './smtp.ts';
import { playRounds } from './target.ts';

it('the SMTP session keeps its promises whatever bytes and events come', async () => {
  await playRounds(smtpTarget, 8000, 1);
});
