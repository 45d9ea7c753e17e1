import { expect, it } from 'vitest';
import { Reply } from '../wire/reply.ts';
import * as replies from './replies.ts';

it('each has an enhanced code of its own class, or none where there is to be none', () => {
  const fixed = Object.entries(replies).filter((entry): entry is [string, Reply] => entry[1] instanceof Reply);
  expect(fixed.length).toBeGreaterThan(80);
  for (const [name, { code, enhanced, text }] of fixed) {
    if (code === 0) continue;
    expect(name).toMatch(new RegExp(`${code}$|^senderOkPriority250$`));
    expect(text, name).toMatch(/^[\x20-\x7e\n]+$/);
    // RFC 2034 §4: none where more is asked for.
    if (code < 400 && code >= 300) expect(enhanced, name).toBe('');
    else expect(enhanced, name).toMatch(new RegExp(`^${String(code)[0]}\\.(0|[1-9]\\d{0,2})\\.(0|[1-9]\\d{0,2})$`));
  }
});
