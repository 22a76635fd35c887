import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatBytes, fromFixedPoint, toFixedPoint } from './fixed-point.ts';

describe('fixed point', () => {
  it('keeps steps of 0.0001 exactly', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 1_000_000_000 }), (steps) => {
        expect(toFixedPoint(fromFixedPoint(steps), 'cpus')).toBe(steps);
      }),
    );
    expect(toFixedPoint(0.1, 'cpus') + toFixedPoint(0.2, 'cpus')).toBe(toFixedPoint(0.3, 'cpus'));
  });

  it('never makes nothing of something', () => {
    expect(toFixedPoint(0.000001, 'cpus')).toBe(1);
    expect(toFixedPoint(0, 'cpus')).toBe(0);
  });

  it.each([-1, Number.NaN, Number.POSITIVE_INFINITY, 1e12])('refuses %s', (amount) => {
    expect(() => toFixedPoint(amount, 'cpus')).toThrow(/cpus must be between 0/);
  });

  it('prints bytes for people', () => {
    expect(formatBytes(512)).toBe('512 B');
    expect(formatBytes(1.5 * 2 ** 30)).toBe('1.5 GiB');
  });
});
