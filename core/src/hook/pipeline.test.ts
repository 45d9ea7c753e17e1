import { describe, expect, test } from 'vitest';
import type { Log } from '../observe/log.ts';
import { type HookResult, type PluginManifest, type Requests, type Stage, STAGES } from './contract.ts';
import { type HookCall, type HookHost, noHost, type Outcome } from './host.ts';
import { createPipeline, type InlineHooks, type PipelinePlugin } from './pipeline.ts';

const session = { sessionId: 's1', listener: 'mx', clientAddress: '192.0.2.1', clientPort: 5, helo: 'h' };
const envelope = {
  id: 'm1',
  receivedAtMs: 0,
  reversePath: 'a@example.org',
  recipients: [{ address: 'b@example.org' }],
  origin: { ...session, protocol: 'ESMTP' },
  sizeBytes: 4,
  body: '7bit',
} as const;
const message: Requests['message'] = {
  session,
  envelope,
  bytes: {
    sizeBytes: 0,
    header: new Uint8Array(),
    whole: new Uint8Array(),
    chunks: async function* () {
      yield new Uint8Array();
    },
  },
  evidence: [{ name: 'EARLIER', weight: 1, reason: '', plugin: 'rcpt-plugin' }],
};

/** One plugin: at `message`, unless hooks say otherwise. */
function plugin(
  name: string,
  hooks: InlineHooks | 'compute' | 'wait',
  more: Partial<PluginManifest & { mode: 'shadow' }> = {},
): PipelinePlugin {
  const { mode = 'enforce', ...manifest } = more;
  return {
    mode,
    manifest: {
      name,
      version: '1',
      contract: 1,
      run: typeof hooks === 'string' ? { isolation: 'thread', pool: hooks } : { isolation: 'inline' },
      stages: typeof hooks === 'string' ? ['message'] : (Object.keys(hooks) as Stage[]),
      reads: [],
      onFailure: 'defer',
      deadlineMs: 50,
      ...manifest,
    },
    ...(typeof hooks === 'string' ? {} : { hooks }),
  };
}

const says = (...results: HookResult[]): InlineHooks => ({ message: () => results });
const finds = (name: string, weight = 1): HookResult => ({ kind: 'evidence', evidence: [{ name, weight, reason: 'r' }] });

function setUp(plugins: readonly PipelinePlugin[], answers: Record<string, HookResult[] | Outcome> = {}) {
  const lines: { event: string; fields: Record<string, unknown> }[] = [];
  const note = (event: string, fields: Record<string, unknown> = {}) => void lines.push({ event, fields });
  const log: Log = { debug: note, info: note, warn: note, error: note, with: () => log };
  const timers: { delayMs: number; fire: () => void }[] = [];
  const hops: { names: string[]; given: string[] }[] = [];
  const host: HookHost = {
    ask(call: HookCall) {
      hops.push({ names: call.plugins.map((one) => plugins[one]!.manifest.name), given: call.given.map(({ name }) => name) });
      queueMicrotask(() => {
        for (const one of call.plugins.toReversed()) {
          const answer = answers[plugins[one]!.manifest.name] ?? [];
          call.settle(one, Array.isArray(answer) ? { results: answer } : answer);
        }
      });
    },
  };
  const clock = {
    now: () => 0,
    monotonic: () => 0,
    after(delayMs: number, then: () => void) {
      const timer = { delayMs, fire: then };
      timers.push(timer);
      return () => void timers.splice(timers.indexOf(timer), 1);
    },
  };
  const pipeline = createPipeline({ plugins, host, clock, log, counters: { add: () => undefined } });
  return { pipeline, lines, timers, hops };
}

describe('a stage', () => {
  test('that nobody hooks is null', () => {
    const { pipeline } = setUp([plugin('a', says())]);
    expect(STAGES.filter((stage) => pipeline[stage] !== null)).toEqual(['message']);
  });

  test('whose hooks answer at once gives its verdict without a promise', () => {
    const { pipeline } = setUp([plugin('a', says()), plugin('b', says(finds('B')))]);
    expect(pipeline.message!(message)).toMatchObject({ kind: 'pass', evidence: [{ name: 'B', plugin: 'b' }] });
  });

  test('collects evidence and edits in the order of plugins, however they answer', async () => {
    const edit = (value: string): HookResult => ({ kind: 'edit', edits: [{ edit: 'add-header', name: 'X', value }] });
    const { pipeline } = setUp(
      [
        plugin('slow', { message: async () => [finds('SLOW'), edit('1')] }),
        plugin('threaded', 'compute'),
        plugin('quick', says(finds('QUICK'), edit('3'))),
      ],
      { threaded: [finds('THREADED'), edit('2')] },
    );
    const verdict = await pipeline.message!(message);
    expect(verdict.evidence.map(({ name }) => name)).toEqual(['SLOW', 'THREADED', 'QUICK']);
    expect(verdict.edits.map((one) => 'value' in one && one.value)).toEqual(['1', '2', '3']);
  });
});

describe('who decides', () => {
  const reject: HookResult = { kind: 'reject', text: 'no' };
  const accept: HookResult = { kind: 'accept', reason: 'friend' };
  const quarantine: HookResult = { kind: 'quarantine', reason: 'odd' };

  test('the first reject, defer or accept ends the stage, and later plugins are not asked', () => {
    let asked = 0;
    const { pipeline } = setUp([
      plugin('a', says(finds('A'))),
      plugin('b', says(reject)),
      plugin('c', { message: () => void (asked += 1) }),
    ]);
    expect(pipeline.message!(message)).toMatchObject({
      kind: 'reject',
      text: 'no',
      code: 550,
      enhanced: '5.7.1',
      plugin: 'b',
      evidence: [{ name: 'A' }],
    });
    expect(asked).toBe(0);
  });

  test('an inline plugin that ends the stage saves the hop for plugins behind it, not for those before it', async () => {
    const behind = setUp([plugin('inline', says(reject)), plugin('threaded', 'compute')]);
    expect(behind.pipeline.message!(message)).toMatchObject({ kind: 'reject' });
    expect(behind.hops).toEqual([]);
    const before = setUp([plugin('threaded', 'compute'), plugin('inline', says(reject))], { threaded: [accept] });
    expect(await before.pipeline.message!(message)).toMatchObject({ kind: 'accept', plugin: 'threaded' });
  });

  test('quarantine goes on: a later reject wins, a later accept does not', () => {
    const both = (second: HookResult) =>
      setUp([plugin('a', says(quarantine)), plugin('b', says(second))]).pipeline.message!(message);
    expect(both(reject)).toMatchObject({ kind: 'reject', plugin: 'b' });
    expect(both(accept)).toMatchObject({ kind: 'quarantine', plugin: 'a', text: 'odd' });
  });

  test('a decision does not wait for plugins behind it', async () => {
    const never = new Promise<never>(() => undefined);
    const { pipeline, timers } = setUp([plugin('a', { message: async () => reject }), plugin('b', { message: () => never })]);
    expect(await pipeline.message!(message)).toMatchObject({ kind: 'reject' });
    expect(timers).toHaveLength(1);
  });
});

describe('a plugin that fails', () => {
  const failing: [string, InlineHooks, string][] = [
    [
      'throws',
      {
        message: () => {
          throw new Error('broken pipe');
        },
      },
      'threw: Error: broken pipe',
    ],
    ['rejects', { message: () => Promise.reject(new TypeError('x')) }, 'threw: TypeError: x'],
    [
      'throws no error',
      {
        message: () => {
          throw { toString: null };
        },
      },
      'threw',
    ],
    ['answers nonsense', { message: () => 'reject!' }, 'nonsense: answer "reject!"'],
    [
      'answers nonsense late',
      { message: async () => [{ kind: 'explode' }] },
      'nonsense: unknown kind "explode", expected evidence, edit, accept, reject, defer or quarantine',
    ],
    [
      'answers with a trap',
      {
        message: () =>
          new Proxy(
            {},
            {
              get: () => {
                throw new Error('trap');
              },
            },
          ),
      },
      'threw: Error: trap',
    ],
  ];
  for (const [what, hooks, cause] of failing) {
    test(`because it ${what} defers with a private cause, or passes if it says so; one log line each`, async () => {
      for (const onFailure of ['defer', 'pass'] as const) {
        const { pipeline, lines } = setUp([plugin('bad', hooks, { onFailure }), plugin('good', says(finds('GOOD')))]);
        const verdict = await pipeline.message!(message);
        if (onFailure === 'pass') expect(verdict).toMatchObject({ kind: 'pass', evidence: [{ name: 'GOOD' }] });
        else
          expect(verdict).toMatchObject({
            kind: 'defer',
            code: 451,
            enhanced: '4.3.0',
            plugin: 'bad',
            cause: expect.stringContaining(cause),
          });
        expect(verdict.text ?? '').not.toContain('bad');
        expect(lines).toMatchObject([
          { event: 'hook.failed', fields: { plugin: 'bad', stage: 'message', session: 's1', message: 'm1' } },
        ]);
      }
    });
  }

  test('by being late is answered at its deadline, and its late answer changes nothing', async () => {
    let answer: (result: HookResult) => void = () => undefined;
    const { pipeline, timers, lines } = setUp([plugin('late', { message: () => new Promise((resolve) => (answer = resolve)) })]);
    const verdict = pipeline.message!(message);
    expect(timers).toMatchObject([{ delayMs: 50 }]);
    timers[0]!.fire();
    expect(await verdict).toMatchObject({ kind: 'defer', cause: expect.stringContaining('no answer within 50 ms') });
    answer({ kind: 'reject', text: 'late' });
    await Promise.resolve();
    expect(lines).toHaveLength(1);
  });

  test('on a thread counts like any other failure', async () => {
    const { pipeline } = setUp([plugin('t', 'wait')], { t: { failed: 'crash', cause: 'thread died' } });
    expect(await pipeline.message!(message)).toMatchObject({ kind: 'defer', cause: 'plugin t: crash: thread died' });
  });

  test('in shadow mode changes nothing, nor does one that rejects; what it would have said is logged', async () => {
    const { pipeline, lines } = setUp([
      plugin('a', says({ kind: 'reject', text: 'no' }), { mode: 'shadow' }),
      plugin('b', { message: () => Promise.reject(new Error('x')) }, { mode: 'shadow' }),
      plugin('c', says(finds('C'))),
    ]);
    expect(await pipeline.message!(message)).toMatchObject({ kind: 'pass', evidence: [{ name: 'C' }] });
    expect(lines.map(({ event }) => event)).toEqual(['hook.shadow', 'hook.failed', 'hook.shadow']);
    expect(lines[0]!.fields['results']).toEqual([{ kind: 'reject', text: 'no' }]);
  });
});

describe('the order of plugins', () => {
  const seen: Record<string, string[]> = {};
  const looks = (name: string): InlineHooks => ({
    message: (request) => {
      seen[name] = request.evidence.map((one) => one.name);
      return finds(name.toUpperCase());
    },
  });

  test('is that of the configuration, changed where one reads a later one, who is shown what it reads and no more', () => {
    const { pipeline } = setUp([
      plugin('sum', looks('sum'), { reads: ['b', 'absent'] }),
      plugin('a', looks('a')),
      plugin('b', looks('b')),
    ]);
    const verdict = pipeline.message!(message);
    expect(verdict).toMatchObject({ evidence: [{ name: 'B' }, { name: 'SUM' }, { name: 'A' }] });
    expect(seen['sum']).toEqual(['EARLIER', 'B']);
    expect(seen['a']).toEqual(['EARLIER']);
  });

  test('waits inline for an inline plugin that answers later', async () => {
    const { pipeline } = setUp([
      plugin('slow', { message: async () => finds('SLOW') }),
      plugin('reader', looks('reader'), { reads: ['slow'] }),
    ]);
    await pipeline.message!(message);
    expect(seen['reader']).toEqual(['EARLIER', 'SLOW']);
  });

  test('needs one hop for any number of threaded plugins of both kinds', async () => {
    const { pipeline, hops } = setUp([
      plugin('a', 'compute'),
      plugin('b', 'wait'),
      plugin('inline', { message: async () => finds('INLINE') }),
      plugin('c', 'compute', { reads: ['inline', 'a'] }),
    ]);
    await pipeline.message!(message);
    expect(hops).toEqual([{ names: ['a', 'b', 'c'], given: ['INLINE'] }]);
  });

  test('needs a second hop only for a reader of the other kind', async () => {
    const { pipeline, hops } = setUp(
      [plugin('a', 'wait'), plugin('b', 'compute', { reads: ['a'] }), plugin('last', looks('last'), { reads: ['a', 'b'] })],
      { a: [finds('A')], b: [finds('B')] },
    );
    await pipeline.message!(message);
    expect(hops).toEqual([
      { names: ['a'], given: [] },
      { names: ['b'], given: ['A'] },
    ]);
    expect(seen['last']).toEqual(['EARLIER', 'A', 'B']);
  });

  test('cannot be a ring', () => {
    expect(() => setUp([plugin('a', 'wait', { reads: ['b'] }), plugin('b', says(), { reads: ['a'] })])).toThrow(
      'ring: a reads b reads a',
    );
  });
});

test('a stage that reports tells everyone, waits for nobody and passes', async () => {
  const told: string[] = [];
  const { pipeline, hops, lines } = setUp([
    plugin('a', { queued: () => new Promise(() => void told.push('a')) }),
    plugin('b', {
      queued: () => {
        throw new Error('x');
      },
    }),
    plugin('c', {
      queued: async () => {
        told.push('c');
        throw new Error('y');
      },
    }),
    plugin('d', 'wait', { stages: ['queued'] }),
  ]);
  expect(pipeline.queued!({ envelope })).toMatchObject({ kind: 'pass' });
  expect(told).toEqual(['a', 'c']);
  expect(hops).toEqual([{ names: ['d'], given: [] }]);
  await new Promise((resolve) => setImmediate(resolve));
  expect(lines.map(({ fields }) => fields['plugin'])).toEqual(['b', 'c']);
});

test('a host that answers in the same turn, and no host at all, are answers too', async () => {
  const plugins = [plugin('t', 'compute')];
  const log: Log = { debug() {}, info() {}, warn() {}, error() {}, with: () => log };
  const clock = { now: () => 0, monotonic: () => 0, after: () => () => undefined };
  const pipeline = createPipeline({ plugins, host: noHost, clock, log, counters: { add: () => undefined } });
  expect(pipeline.message!(message)).toMatchObject({ kind: 'defer', enhanced: '4.3.0' });
});
