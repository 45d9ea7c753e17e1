/**
 * The engine against servers that say anything at any time: each message ends once, is delivered only by a 250 to its own end,
 * and no text of a message goes to a server that is not at DATA. The server here keeps its own books of what it was told.
 */
import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import type { Result } from '../reply.ts';
import { SmtpClient } from './client.ts';
import type { TlsPolicy } from './tls-policy.ts';
import type { OutgoingMessage } from './transaction.ts';

const policy = (mode: TlsPolicy['mode'], login: boolean): TlsPolicy => ({
  mode,
  verify: false,
  demands: undefined,
  credentials: login ? { user: 'u', secret: 's' } : undefined,
  plainSecret: true,
});

const TEXT = 'the text of a message\r\n';

function message(index: number, recipients: number, isSmall: boolean): OutgoingMessage {
  return {
    reversePath: 'a@x.test',
    recipients: Array.from({ length: recipients }, (_, at) => `r${at}@m${index}.test`),
    sizeBytes: TEXT.length,
    eightBit: false,
    content: isSmall ? Buffer.from(TEXT) : undefined,
  };
}

/** What a server might say: mostly what fits, and everything else. */
const said = fc.oneof(
  { weight: 30, arbitrary: fc.constant('fitting') },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      '220 x',
      '221 x',
      '250 x',
      '251 x',
      '334 x',
      '354 go',
      '421 x',
      '450 x',
      '452 x',
      '500 x',
      '503 x',
      '550 5.1.1 x',
      '552 x',
      '554 x',
    ),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      '250-x\r\n250 PIPELINING',
      '250-x\r\n250-PIPELINING\r\n250 STARTTLS',
      '250-x\r\n550 y',
      'x',
      '250',
      '',
      '999 z',
      '250 x\r\n250 y',
    ),
  },
);

const run = fc.record({
  lmtp: fc.boolean(),
  mode: fc.constantFrom('never', 'opportunistic', 'required', 'implicit'),
  login: fc.boolean(),
  pipelining: fc.boolean(),
  messages: fc.array(fc.tuple(fc.integer({ min: 1, max: 3 }), fc.boolean()), { maxLength: 4 }),
  replies: fc.array(said, { minLength: 10, maxLength: 60, size: 'max' }),
});

it('ends each message once, and believes nothing that cannot be so', () => {
  fc.assert(
    fc.property(run, ({ lmtp, mode, login, pipelining, messages, replies }) => {
      const all = messages.map(([recipients, isSmall], index) => message(index, recipients, isSmall));
      const left = [...all];
      const ends = new Map<OutgoingMessage, number>();
      const count = (one: OutgoingMessage): void => void ends.set(one, (ends.get(one) ?? 0) + 1);
      /** Messages whose whole text went out. */
      let texts = 0;
      let said354 = 0;
      let delivered = 0;
      let ended = false;
      let streams = 0;
      /** Commands that the server has not answered, in order. */
      const asked: string[] = [];
      const client: SmtpClient = new SmtpClient(
        {
          name: 'mx.test[192.0.2.1]:25',
          hostname: 'me.test',
          policy: policy(mode, login),
          ...(lmtp ? { protocol: 'lmtp' } : {}),
        },
        {
          write(bytes) {
            expect(ended).toBe(false);
            const text = Buffer.from(bytes).toString('latin1');
            const at = text.indexOf(TEXT);
            if (at >= 0) {
              texts++;
              asked.push('dot');
            }
            for (const line of text.slice(at >= 0 ? at + TEXT.length : 0).split('\r\n'))
              if (/^[A-Z]{4}/.test(line)) asked.push(line);
          },
          startTls: () => undefined,
          idle() {
            const next = left.shift();
            if (next !== undefined) client.send(next);
          },
          following: () => left.shift(),
          streamBody: () => void streams++,
          finished(one, results: readonly Result[]) {
            count(one);
            expect(results).toHaveLength(one.recipients.length);
            if (results.some(({ outcome }) => outcome === 'delivered')) delivered++;
          },
          ended(end) {
            expect(ended).toBe(false);
            ended = true;
            end.untried.forEach(count);
          },
        },
      );
      const feed = (reply: string): void => client.feed(Buffer.from(`${reply}\r\n`));
      const hello = pipelining
        ? '250-x\r\n250-AUTH PLAIN\r\n250-STARTTLS\r\n250 PIPELINING'
        : '250-x\r\n250-AUTH LOGIN\r\n250 STARTTLS';
      feed('220 hi');
      for (const reply of replies) {
        if (ended) break;
        if (client.phase === 'handshake') {
          client.secured();
          continue;
        }
        if (streams > 0) {
          streams--;
          if (client.stage === 'body') {
            texts++;
            asked.push('dot');
            client.bodyEnds();
          }
          continue;
        }
        const verb = asked.shift() ?? '';
        const fitting = /^(?:EHLO|LHLO)/.test(verb)
          ? hello
          : verb.startsWith('DATA')
            ? '354 go'
            : verb.startsWith('STAR')
              ? '220 go'
              : verb.startsWith('AUTH')
                ? '235 ok'
                : '250 ok';
        const says = reply === 'fitting' ? fitting : reply;
        if (says.startsWith('354')) said354++;
        feed(says);
        expect(texts).toBeLessThanOrEqual(said354);
        expect(delivered).toBeLessThanOrEqual(texts);
      }
      client.fail('451 4.4.2 lost');
      expect(ended).toBe(true);
      for (const one of all) expect(ends.get(one) ?? 0).toBe(left.includes(one) ? 0 : 1);
    }),
    { numRuns: 4_000 },
  );
}, 60_000);
