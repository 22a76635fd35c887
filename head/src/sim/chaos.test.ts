import { describe, expect, it } from 'vitest';
import { runChaos } from './chaos.ts';

const SEEDS = [1, 2, 3, 4, 5, 6];

describe('the head under random faults', () => {
  it.each(SEEDS)('keeps its promises: seed %i', async (seed) => {
    const report = await runChaos({ seed, nodes: 5, steps: 150, headFails: seed % 2 === 0 });
    expect(report.created).toBeGreaterThan(20);
  });

  it('gives the same run for the same seed', async () => {
    const options = { seed: 42, nodes: 4, steps: 60, headFails: true };
    expect(await runChaos(options)).toEqual(await runChaos(options));
  });
});
