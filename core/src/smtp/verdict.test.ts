import { describe, expect, it } from 'vitest';
import type { GivenEvidence, Verdict } from '../hook/contract.ts';
import { gatherEvidence, refusalOf } from './verdict.ts';

const verdict = (parts: Partial<Verdict>): Verdict => ({ kind: 'pass', evidence: [], edits: [], ...parts });

describe('refusalOf', () => {
  it('lets pass, accept and quarantine through', () => {
    for (const kind of ['pass', 'accept', 'quarantine'] as const) expect(refusalOf(verdict({ kind }))).toBeUndefined();
  });

  it('has the defaults of the contract', () => {
    expect(refusalOf(verdict({ kind: 'reject' }))).toMatchObject({ code: 550, enhanced: '5.7.1', after: 'continue' });
    expect(refusalOf(verdict({ kind: 'defer' }))).toMatchObject({ code: 451, enhanced: '4.7.1', after: 'continue' });
  });

  it('keeps code, enhanced code and text of the plugin', () => {
    const given = { kind: 'reject', code: 553, enhanced: '5.1.8', text: 'No such sender' } as const;
    expect(refusalOf(verdict(given))).toMatchObject({ code: 553, enhanced: '5.1.8', text: 'No such sender' });
  });

  it('puts right a code of the wrong class, and an enhanced code that is none', () => {
    for (const code of [250, 354, 451, 199, 600, 55, Number.NaN, 550.5, 599]) {
      expect(refusalOf(verdict({ kind: 'reject', code })), String(code)).toMatchObject({ code: 550 });
    }
    expect(refusalOf(verdict({ kind: 'defer', code: 550 }))).toMatchObject({ code: 451 });
    for (const enhanced of ['4.7.1', '5.7', '5.7.1\r\n250 ok', 'x']) {
      expect(refusalOf(verdict({ kind: 'reject', enhanced }))).toMatchObject({ enhanced: '5.7.1' });
    }
  });

  it('closes after 421 and 521', () => {
    expect(refusalOf(verdict({ kind: 'defer', code: 421 }))).toMatchObject({ code: 421, after: 'close' });
    expect(refusalOf(verdict({ kind: 'reject', code: 521 }))).toMatchObject({ code: 521, after: 'close' });
  });
});

describe('gatherEvidence', () => {
  it('counts the same finding once, and another weight or plugin apart', () => {
    const one: GivenEvidence = { plugin: 'a', name: 'X', weight: 1, reason: 'for alice' };
    const gathered: GivenEvidence[] = [];
    gatherEvidence(gathered, [one, { ...one, reason: 'for bob' }, { ...one, weight: 2 }, { ...one, plugin: 'b' }]);
    expect(gathered.map((given) => [given.plugin, given.weight])).toEqual([
      ['a', 1],
      ['a', 2],
      ['b', 1],
    ]);
  });
});
