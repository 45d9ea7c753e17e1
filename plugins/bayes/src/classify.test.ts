import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { classify, logChiSquareTail } from './classify.ts';
import { hashToken } from './hash.ts';
import { MapModel } from './model.ts';

function trained(): MapModel {
  const model = new MapModel();
  for (let i = 0; i < 100; i++) model.learn(['pills', 'cheap', 'the'].map(hashToken), 'spam');
  for (let i = 0; i < 100; i++) model.learn(['meeting', 'agenda', 'the'].map(hashToken), 'ham');
  return model;
}

describe('classify', () => {
  test('a message of spam words is spam, one of ham words is ham', () => {
    expect(classify(trained(), ['pills', 'cheap', 'the']).probability).toBeGreaterThan(0.95);
    expect(classify(trained(), ['meeting', 'agenda', 'the']).probability).toBeLessThan(0.05);
  });
  test('unknown words, even-handed words and no words say nothing', () => {
    expect(classify(trained(), ['never', 'seen', 'the']).probability).toBe(0.5);
    expect(classify(trained(), []).probability).toBe(0.5);
  });
  test('as many words of either kind leave it in the middle', () => {
    const { probability } = classify(trained(), ['pills', 'cheap', 'meeting', 'agenda']);
    expect(probability).toBeCloseTo(0.5, 2);
  });
  test('the telling tokens are those that count, not the even-handed ones', () => {
    const { telling } = classify(trained(), ['the', 'pills', 'never']);
    expect(telling.map(({ token }) => token)).toEqual(['pills']);
  });
  test('a model without ham judges nothing', () => {
    const model = new MapModel();
    model.learn([hashToken('pills')], 'spam');
    expect(classify(model, ['pills']).probability).toBe(0.5);
  });
  test('thousands of telling tokens neither overflow nor give NaN', () => {
    const model = new MapModel();
    const words = Array.from({ length: 5000 }, (_, i) => `word${i}`);
    model.learn(words.map(hashToken), 'spam');
    model.learn([hashToken('other')], 'ham');
    expect(classify(model, words).probability).toBeGreaterThan(0.999);
  });
});

describe('logChiSquareTail', () => {
  test('known values of chi-square', () => {
    // 2 degrees of freedom: Q = e^(-x/2); 10 degrees: the 5 % point is 18.307.
    expect(logChiSquareTail(4, 1)).toBeCloseTo(-2, 12);
    expect(Math.exp(logChiSquareTail(18.307, 5))).toBeCloseTo(0.05, 4);
    expect(logChiSquareTail(0, 7)).toBe(0);
  });
  test('agrees with the plain sum wherever that one does not underflow', () => {
    fc.assert(
      fc.property(fc.double({ min: 0.001, max: 200, noNaN: true }), fc.integer({ min: 1, max: 60 }), (half, pairs) => {
        let term = Math.exp(-half);
        let sum = term;
        for (let i = 1; i < pairs; i++) sum += term *= half / i;
        expect(logChiSquareTail(2 * half, pairs)).toBeCloseTo(Math.log(Math.min(1, sum)), 6);
      }),
    );
  });
  test('never NaN and never above zero', () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 1e7, noNaN: true }), fc.integer({ min: 1, max: 20_000 }), (value, pairs) => {
        expect(logChiSquareTail(value, pairs)).toBeLessThanOrEqual(0);
      }),
    );
  });
});
