import { describe, expect, test } from 'vitest';
import { mean, median, quantile, standardDeviation } from './statistics.ts';

describe('statistics', () => {
  test('the deviation is that of the population, as numpy.std gives it', () => {
    expect(mean([2, 4, 4, 4, 5, 5, 7, 9])).toBe(5);
    expect(standardDeviation([2, 4, 4, 4, 5, 5, 7, 9])).toBe(2);
    expect(standardDeviation([3])).toBe(0);
  });

  test('the median of an even number of samples lies between the middle two, in any order', () => {
    expect(median([9, 1, 3, 5])).toBe(4);
    expect(median([7])).toBe(7);
  });

  test('quantiles interpolate between ranks and reach both ends', () => {
    const samples = [10, 20, 30, 40, 50];
    expect(quantile(samples, 0)).toBe(10);
    expect(quantile(samples, 1)).toBe(50);
    expect(quantile(samples, 0.99)).toBeCloseTo(49.6);
  });

  test('no samples and impossible fractions are refused', () => {
    expect(() => mean([])).toThrow(RangeError);
    expect(() => median([])).toThrow(RangeError);
    expect(() => quantile([1], 1.5)).toThrow(RangeError);
  });
});
