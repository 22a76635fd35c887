import fc from 'fast-check';
import { expect, test } from 'vitest';
import { halfFromNumber, numberFromHalf } from './half-float.ts';

test('known values', () => {
  for (const [number, bits] of [
    [0, 0],
    [-0, 0x8000],
    [1, 0x3c00],
    [-2, 0xc000],
    [65504, 0x7bff],
    [65520, 0x7c00],
    [Infinity, 0x7c00],
    [2 ** -24, 1],
    [2 ** -25, 0],
    [2 ** -14, 0x0400],
    [1 / 3, 0x3555],
  ] as const) {
    expect(halfFromNumber(number)).toBe(bits);
  }
  expect(numberFromHalf(halfFromNumber(NaN))).toBeNaN();
});

test('every half survives the way to a number and back', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 0xffff }), (bits) => {
      const number = numberFromHalf(bits);
      fc.pre(!Number.isNaN(number));
      expect(halfFromNumber(number)).toBe(bits);
    }),
    { numRuns: 5000 },
  );
});

test('a number becomes one of its two neighbours, the nearer', () => {
  fc.assert(
    fc.property(fc.float({ min: -60000, max: 60000, noNaN: true }), (number) => {
      const half = halfFromNumber(number);
      const error = Math.abs(numberFromHalf(half) - number);
      const others = [half - 1, half + 1]
        .map((neighbour) => numberFromHalf(neighbour & 0xffff))
        .filter((other) => Number.isFinite(other));
      for (const other of others) expect(error).toBeLessThanOrEqual(Math.abs(other - number));
    }),
  );
});
