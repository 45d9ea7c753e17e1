/** What the SMTP session does to clients that do not behave, with a clock that is turned by hand. */
import type { Clock } from '@posthorn/core/mail/clock';
import { createSmtpSession } from '@posthorn/core/smtp/session';
import type { SmtpLimits, SmtpProfile } from '@posthorn/core/smtp/ports';
import { describe, expect, it } from 'vitest';
import { createKit, RecordingOutput } from '../../lib/smtp-ports.ts';

const BANNER = '220 mx.example.org ESMTP Posthorn\r\n';
const UNKNOWN = '500 5.5.1 Command unrecognized\r\n';
const OK = '250 2.0.0 Ok\r\n';

class HandClock implements Clock {
  nowMs = 0;
  #timers: { readonly atMs: number; readonly fire: () => void }[] = [];
  now = () => this.nowMs;
  monotonic = () => this.nowMs;
  after = (delayMs: number, then: () => void) => {
    const timer = { atMs: this.nowMs + delayMs, fire: then };
    this.#timers.push(timer);
    return () => void (this.#timers = this.#timers.filter((one) => one !== timer));
  };

  get pending(): number {
    return this.#timers.length;
  }

  turn(ms: number): void {
    this.nowMs += ms;
    const due = this.#timers.filter(({ atMs }) => atMs <= this.nowMs);
    this.#timers = this.#timers.filter(({ atMs }) => atMs > this.nowMs);
    for (const { fire } of due) fire();
  }
}

function open(limits: Partial<SmtpLimits> = {}, profile: Partial<Omit<SmtpProfile, 'limits'>> = {}) {
  const clock = new HandClock();
  const kit = createKit({ limits, profile, ports: { clock } });
  const output = new RecordingOutput();
  const session = createSmtpSession(kit.ports, kit.profile, { address: '192.0.2.7', port: 4025, sessionId: 'S1' }, output);
  return { clock, kit, output, session, say: (text: string) => session.feed(Buffer.from(text)) };
}

describe('a client that makes errors', () => {
  it('waits for the answers to those past the limit, and only for those', () => {
    const { clock, output, session, say } = open({ errorsBeforeDelay: 2, errorDelayMs: 1000 });
    session.start();
    say('X1\r\nX2\r\nX3\r\nNOOP\r\nX4\r\nNOOP\r\n');
    expect(output.text).toBe(BANNER + UNKNOWN + UNKNOWN);
    expect(session.waitsFor).toBe('verdict');
    clock.turn(999);
    expect(output.text).toBe(BANNER + UNKNOWN + UNKNOWN);
    clock.turn(1);
    expect(output.text).toBe(BANNER + UNKNOWN + UNKNOWN + UNKNOWN + OK);
    clock.turn(1000);
    expect(output.text).toBe(BANNER + UNKNOWN + UNKNOWN + UNKNOWN + OK + UNKNOWN + OK);
    expect(session.waitsFor).toBe('command');
  });

  it('is read no further while it waits, and again afterwards', () => {
    const { clock, output, session, say } = open({ errorsBeforeDelay: 0, errorDelayMs: 1000 });
    session.start();
    say('X1\r\n');
    expect(output.paused).toBe(false);
    say('NOOP\r\n');
    expect(output.paused).toBe(true);
    clock.turn(1000);
    expect(output.paused).toBe(false);
    expect(output.text).toBe(BANNER + UNKNOWN + OK);
  });

  it('leaves no timer behind when it goes', () => {
    const { clock, output, session, say } = open({ errorsBeforeDelay: 0, errorDelayMs: 1000 });
    session.start();
    say('X1\r\n');
    session.closed();
    expect(clock.pending).toBe(0);
    clock.turn(5000);
    expect(output.text).toBe(BANNER);
  });

  it('is told that the server goes down once its answer is out', () => {
    const { clock, output, session, say } = open({ errorsBeforeDelay: 0, errorDelayMs: 1000 });
    session.start();
    say('X1\r\n');
    session.drain();
    expect(output.closed).toBe(false);
    clock.turn(1000);
    expect(output.text).toBe(`${BANNER + UNKNOWN}421 4.3.2 Service shutting down\r\n`);
    expect(output.closed).toBe(true);
  });
});

describe('the banner', () => {
  it('comes at once, unless it is told to wait', () => {
    const { clock, output, session } = open({ bannerDelayMs: 500 });
    session.start();
    expect(output.text).toBe('');
    clock.turn(500);
    expect(output.text).toBe(BANNER);
  });

  it('is not waited for by a client that is allowed to talk early, which is answered in order', () => {
    const { clock, output, session, say } = open({ bannerDelayMs: 500 });
    session.start();
    say('NOOP\r\n');
    expect(output.text).toBe('');
    clock.turn(500);
    expect(output.text).toBe(BANNER + OK);
  });

  it('is what an early talker never gets where it is refused', () => {
    const { clock, kit, output, session, say } = open({ bannerDelayMs: 500 }, { earlyTalkers: 'refuse' });
    session.start();
    say('EHLO spammer.example\r\n');
    expect(output.text).toBe('554 5.5.1 You talk before it is your turn\r\n');
    expect(output.closed).toBe(true);
    expect(kit.counted.get('smtp.rejected')).toBe(1);
    clock.turn(500);
    expect(output.text).not.toContain('220');
  });

  it('leaves out PIPECONNECT where early talkers are refused, and takes who waits', () => {
    const { output, session, say } = open({}, { earlyTalkers: 'refuse' });
    session.start();
    say('EHLO client.example\r\n');
    expect(output.text).toContain('250-PIPELINING\r\n');
    expect(output.text).not.toContain('PIPECONNECT');
  });
});

describe('a message under way', () => {
  it('is told with its beginning and its size, until its end', () => {
    const { clock, session, say } = open();
    session.start();
    say('HELO c.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<alice@example.org>\r\n');
    expect(session.message).toBeUndefined();
    clock.turn(50);
    say('DATA\r\n');
    clock.turn(50);
    say('1234567\r\n');
    expect(session.message).toMatchObject({ sinceMs: 50, sizeBytes: 9 });
    say('.\r\n');
    expect(session.message).toBeUndefined();
  });

  it('goes on between its chunks', () => {
    const { clock, session, say } = open();
    session.start();
    say('EHLO c.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<alice@example.org>\r\nBDAT 4\r\nab\r\n');
    clock.turn(50);
    say('BDAT 4\r\n');
    expect(session.message).toMatchObject({ sinceMs: 0, sizeBytes: 4 });
    say('cd\r\nRSET\r\n');
    expect(session.message).toBeUndefined();
  });
});
