import { describe, expect, test } from 'vitest';
import { contenderOf, measureTogether, rayTiming, type Contender } from './timeit.ts';

/** A clock that a workload moves on. */
function fakeTime(): { now: () => number; advance: (ms: number) => void } {
  let time = 0;
  return { now: () => time, advance: (ms) => void (time += ms) };
}

describe('a contender', () => {
  test('counts multiplier operations per iteration', async () => {
    const time = fakeTime();
    const contender = contenderOf({ multiplier: 1000, run: () => time.advance(10) }, time.now);
    await contender.warmUp(1000);
    expect(await contender.round(2000)).toBeCloseTo(100_000);
  });

  test('goes in steps of a tenth of what the warm-up managed, plus one', async () => {
    const time = fakeTime();
    let iterations = 0;
    const run = (): void => {
      iterations += 1;
      time.advance(10);
    };
    const contender = contenderOf({ multiplier: 1, run }, time.now);
    await contender.warmUp(1000);
    expect(iterations).toBe(100);
    iterations = 0;
    // A step is 11 iterations of 10 ms; the third passes 250 ms.
    await contender.round(250);
    expect(iterations).toBe(33);
  });

  test('waits for what an iteration returns', async () => {
    const time = fakeTime();
    const run = async (): Promise<void> => {
      await Promise.resolve();
      time.advance(100);
    };
    const contender = contenderOf({ multiplier: 1, run }, time.now);
    await contender.warmUp(100);
    expect(await contender.round(1000)).toBeCloseTo(10);
  });

  test('a failing iteration fails the measurement', async () => {
    const contender = contenderOf({
      multiplier: 1,
      run: () => Promise.reject(new Error('call failed')),
    });
    await expect(contender.warmUp(10)).rejects.toThrow('call failed');
  });
});

describe('measureTogether', () => {
  test('alternates rounds and gives the mean and deviation of each', async () => {
    const order: string[] = [];
    const scripted = (name: string, rates: number[]): Contender => ({
      warmUp: async (durationMs) => void order.push(`${name} warm ${durationMs}`),
      round: async (durationMs) => {
        order.push(`${name} round ${durationMs}`);
        return rates.shift() ?? 0;
      },
    });
    const rule = { ...rayTiming, settleMs: 0, rounds: 2 };
    const [ours, raw] = await measureTogether(
      [scripted('a', [1, 3]), scripted('b', [10, 10])],
      rule,
    );
    expect(ours).toEqual({ value: 2, sd: 1 });
    expect(raw).toEqual({ value: 10, sd: 0 });
    expect(order).toEqual([
      'a warm 1000',
      'b warm 1000',
      'a round 2000',
      'b round 2000',
      'a round 2000',
      'b round 2000',
    ]);
  });

  test("the default rule is Ray's", () => {
    expect(rayTiming).toEqual({ settleMs: 10_000, warmUpMs: 1000, rounds: 4, roundMs: 2000 });
  });
});
