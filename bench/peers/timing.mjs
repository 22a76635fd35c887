/** What the Node.js peers share: their options, and the timing rule of `ray microbenchmark`. */
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';

export function readOptions() {
  const { values } = parseArgs({
    options: {
      quick: { type: 'boolean', default: false },
      settle: { type: 'string', default: '10' },
      rows: { type: 'string' },
    },
  });
  const timing = {
    settleMs: Number(values.settle) * 1000,
    warmUpMs: values.quick ? 50 : 1000,
    roundMs: values.quick ? 100 : 2000,
    rounds: values.quick ? 2 : 4,
  };
  return { wanted: values.rows?.split(','), timing };
}

export async function timeRow(multiplier, run, timing) {
  await delay(timing.settleMs);
  let start = performance.now();
  let count = 0;
  while (performance.now() - start < timing.warmUpMs) {
    await run();
    count += 1;
  }
  const step = Math.floor(count / 10) + 1;
  const rates = [];
  for (let round = 0; round < timing.rounds; round++) {
    start = performance.now();
    count = 0;
    while (performance.now() - start < timing.roundMs) {
      for (let index = 0; index < step; index++) await run();
      count += step;
    }
    rates.push((multiplier * count) / ((performance.now() - start) / 1000));
  }
  const value = rates.reduce((sum, rate) => sum + rate, 0) / rates.length;
  const sd = Math.sqrt(rates.reduce((sum, rate) => sum + (rate - value) ** 2, 0) / rates.length);
  return { value, sd };
}
