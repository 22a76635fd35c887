import { setImmediate, setTimeout } from 'node:timers/promises';
import { mean, standardDeviation } from './statistics.ts';

/**
 * The method of `ray microbenchmark`: wait for quiet, warm up by time, then rounds of a minimum duration whose calls
 * go in steps of a tenth of the warm-up's count. A rate is multiplier × calls / elapsed; the result is the mean and
 * the population's standard deviation over the rounds.
 */
export interface TimingRule {
  settleMs: number;
  warmUpMs: number;
  rounds: number;
  roundMs: number;
}

/** Ray's own figures. */
export const rayTiming: TimingRule = {
  settleMs: 10_000,
  warmUpMs: 1_000,
  rounds: 4,
  roundMs: 2_000,
};
/** To see that everything runs; its figures mean nothing. */
export const quickTiming: TimingRule = { settleMs: 0, warmUpMs: 30, rounds: 2, roundMs: 60 };

export interface Workload {
  /** One iteration; it counts as `multiplier` operations. */
  run(): PromiseLike<unknown> | void;
  multiplier: number;
}

/** Something that is warmed up once and then measured round by round, perhaps in another process. */
export interface Contender {
  warmUp(durationMs: number): Promise<void>;
  /** Operations per second over at least `durationMs`. */
  round(durationMs: number): Promise<number>;
}

export interface Summary {
  value: number;
  sd: number;
}

/** `now` in milliseconds, monotonic. */
export function contenderOf(
  workload: Workload,
  now: () => number = () => performance.now(),
): Contender {
  let step = 1;
  async function iterate(count: number): Promise<void> {
    for (let index = 0; index < count; index++) {
      const pending = workload.run();
      if (pending !== undefined) await pending;
    }
  }
  return {
    async warmUp(durationMs) {
      const start = now();
      let count = 0;
      while (now() - start < durationMs) {
        await iterate(1);
        count += 1;
      }
      step = Math.floor(count / 10) + 1;
    },
    async round(durationMs) {
      const start = now();
      let count = 0;
      while (now() - start < durationMs) {
        await iterate(step);
        count += step;
        // A workload that never waits would starve the event loop, and with it the release of what it dropped.
        await setImmediate();
      }
      return (workload.multiplier * count) / ((now() - start) / 1000);
    },
  };
}

/**
 * Measures contenders side by side: each round of one is followed by the same round of the next, so that a machine
 * that slows down for a while slows all of them and their ratio stays true.
 */
export async function measureTogether(
  contenders: readonly Contender[],
  rule: TimingRule,
): Promise<Summary[]> {
  await setTimeout(rule.settleMs);
  for (const contender of contenders) await contender.warmUp(rule.warmUpMs);
  const rates = contenders.map((): number[] => []);
  for (let round = 0; round < rule.rounds; round++) {
    for (const [index, contender] of contenders.entries()) {
      rates[index]?.push(await contender.round(rule.roundMs));
    }
  }
  return rates.map((samples) => ({ value: mean(samples), sd: standardDeviation(samples) }));
}
