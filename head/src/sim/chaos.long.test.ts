import { describe, expect, it } from 'vitest';
import { runChaos } from './chaos.ts';

/** More seeds and larger clusters than every test run has time for. */
describe('the head under random faults, at length', () => {
  it.each([0, 100, 200, 300])('keeps its promises: a hundred seeds from %i', async (first) => {
    for (let seed = first; seed < first + 100; seed++) {
      const lossShare = [0, 0.02, 0.1][seed % 3] ?? 0;
      const report = await runChaos({
        seed,
        nodes: 6,
        steps: 150,
        headFails: seed % 2 === 0,
        lossShare,
      });
      expect(report.created).toBeGreaterThan(0);
    }
  });

  it.each([1, 2])('keeps its promises with a thousand nodes: seed %i', async (seed) => {
    const report = await runChaos({ seed, nodes: 1_000, steps: 300, headFails: true });
    expect(report.created).toBeGreaterThan(0);
  });
});
