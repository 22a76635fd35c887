import { createIdMint } from '@manta/runtime/ids';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { detectionTimes, FailureDetector, type DetectorEffect } from './failure-detector.ts';

const nodeId = createIdMint((target) => target.fill(3))('node');
const times = detectionTimes(4_500);

function watching(): FailureDetector {
  const detector = new FailureDetector(times);
  detector.tick(0);
  detector.watch(nodeId);
  return detector;
}

/** Ticks regularly; what happened, with the time of its first occurrence. */
function run(detector: FailureDetector, from: number, to: number): Map<string, number> {
  const seen = new Map<string, number>();
  for (let now = from; now <= to; now += times.tickIntervalMs) {
    for (const { type } of detector.tick(now)) if (!seen.has(type)) seen.set(type, now);
  }
  return seen;
}

describe('times', () => {
  it('are as promised by default, and scale', () => {
    expect(times).toEqual({
      heartbeatIntervalMs: 500,
      suspectAfterMs: 2_000,
      deadAfterMs: 4_500,
      tickIntervalMs: 100,
      pingTimeoutMs: 1_000,
      fencingTimeoutMs: 3_000,
    });
    fc.assert(
      fc.property(fc.integer({ min: 20, max: 100_000 }), (failureDetectionMs) => {
        const scaled = detectionTimes(failureDetectionMs);
        expect(scaled.fencingTimeoutMs).toBeLessThan(scaled.deadAfterMs);
        expect(scaled.suspectAfterMs).toBeLessThan(scaled.deadAfterMs);
        expect(scaled.heartbeatIntervalMs * 2).toBeLessThanOrEqual(scaled.suspectAfterMs + 1);
      }),
    );
  });
});

describe('FailureDetector', () => {
  it('1, 3, 4: suspects after 2 s, asks the node, gives it up at 4.5 s', () => {
    const seen = run(watching(), 100, 10_000);
    expect(seen).toEqual(
      new Map([
        ['suspect', 2_000],
        ['ping', 2_000],
        ['dead', 4_500],
      ]),
    );
  });

  it('2: an answer clears the suspicion', () => {
    const detector = watching();
    run(detector, 100, 3_000);
    expect(detector.heard(nodeId)).toEqual([{ type: 'heard', nodeId }]);
    expect(detector.heard(nodeId)).toEqual([]);
    expect(run(detector, 3_100, 4_900).size).toBe(0);
    expect(run(detector, 5_000, 8_000).get('dead')).toBe(7_500);
  });

  it('5: a doubt makes it suspect and asked at once, and it is dead no sooner', () => {
    const detector = watching();
    run(detector, 100, 1_000);
    expect(detector.heard(nodeId)).toEqual([]);
    expect(detector.doubt(nodeId, 'disconnected')).toEqual([
      { type: 'suspect', nodeId, reason: 'disconnected' },
      { type: 'ping', nodeId },
    ]);
    expect(detector.doubt(nodeId, 'disconnected')).toEqual([]);
    expect(detector.tick(1_100)).toEqual([{ type: 'ping', nodeId }]);
    expect(detector.heard(nodeId)).toEqual([{ type: 'heard', nodeId }]);
    expect(run(detector, 1_200, 2_000).size).toBe(0);
    detector.doubt(nodeId, 'disconnected');
    expect(run(detector, 2_100, 10_000).get('dead')).toBe(5_600);
    expect(detector.doubt(nodeId, 'disconnected')).toEqual([]);
  });

  it('does not blame nodes for its own stall', () => {
    const detector = watching();
    expect(detector.tick(60_000)).toEqual([]);
    expect(detector.heard(nodeId)).toEqual([]);
    expect(run(detector, 60_100, 61_900).size).toBe(0);
  });

  it('does not blame nodes for a time in which it could hear nobody', () => {
    const detector = watching();
    run(detector, 100, 1_000);
    for (let now = 1_100; now <= 61_000; now += 100) detector.skip(now);
    expect(run(detector, 61_100, 61_900).size).toBe(0);
    expect(run(detector, 62_000, 70_000).get('dead')).toBe(64_500);
  });

  it('does not trust a clock that jumps back', () => {
    const detector = watching();
    expect(detector.tick(-100_000)).toEqual([]);
    expect(run(detector, -99_900, -98_100).size).toBe(0);
  });

  it('knows nothing of a node that was forgotten', () => {
    const detector = watching();
    detector.forget(nodeId);
    expect(run(detector, 100, 10_000).size).toBe(0);
    expect(detector.heard(nodeId)).toEqual([]);
  });

  it('never calls dead a node that was heard within the time', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 4_300 }), { maxLength: 40 }), (gaps) => {
        const detector = watching();
        const effects: DetectorEffect[] = [];
        let heardAt = 0;
        let now = 0;
        for (const gap of gaps) {
          heardAt += gap;
          for (; now < heardAt; now += times.tickIntervalMs) effects.push(...detector.tick(now));
          detector.heard(nodeId);
        }
        expect(effects.filter(({ type }) => type === 'dead')).toEqual([]);
      }),
    );
  });
});
