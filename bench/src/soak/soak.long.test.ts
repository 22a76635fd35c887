import { expect, it } from 'vitest';
import { soak } from '@manta/bench/soak/soak';

const SECONDS = 40;

/** A longer one, and the seed of one that failed: `npm run soak -- --minutes 10 --seed N`. */
it('random work with objects while processes are killed leaves nothing behind', async () => {
  const seed = Math.floor(Math.random() * 2 ** 31);
  const lines: string[] = [`seed ${seed}`];
  const report = await soak({ seconds: SECONDS, seed, say: (line) => lines.push(line) });
  expect(report.violations, lines.join('\n')).toEqual([]);
  expect(report.operations['read']).toBeGreaterThan(20);
});
