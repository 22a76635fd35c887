import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LEASE_LIMITS, leasesToRequest } from './lease-policy.ts';

const demand = fc.record({
  queued: fc.nat({ max: 1_000_000 }),
  leases: fc.nat({ max: 200 }),
  unanswered: fc.nat({ max: LEASE_LIMITS.unanswered }),
  runMs: fc.option(fc.double({ min: 0, max: 1e7, noNaN: true }), { nil: undefined }),
});

describe('requests for leases', () => {
  it('are never more than tasks, nor more at a time than allowed', () => {
    fc.assert(
      fc.property(demand, (asked) => {
        const requests = leasesToRequest(asked);
        expect(requests).toBeGreaterThanOrEqual(0);
        expect(requests + asked.unanswered).toBeLessThanOrEqual(
          Math.max(asked.unanswered, Math.min(asked.queued, LEASE_LIMITS.unanswered)),
        );
      }),
    );
  });

  it('are made whenever there are tasks and nobody to run them', () => {
    fc.assert(
      fc.property(demand, ({ queued, runMs }) => {
        const requests = leasesToRequest({ queued: queued + 1, leases: 0, unanswered: 0, runMs });
        expect(requests).toBeGreaterThanOrEqual(1);
      }),
    );
  });

  it('are as many as the work takes', () => {
    const few = { queued: 1_000, leases: 2, unanswered: 0 };
    expect(leasesToRequest({ ...few, runMs: 0.01 })).toBe(0);
    expect(leasesToRequest({ ...few, runMs: 0.1 })).toBe(3);
    expect(leasesToRequest({ ...few, runMs: 1_000 })).toBe(LEASE_LIMITS.unanswered);
    expect(leasesToRequest({ ...few, queued: 4, unanswered: 1, runMs: undefined })).toBe(3);
  });
});
