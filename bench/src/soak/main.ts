/** `npm run soak -- --minutes 10 --seed 1`: ends with code 1 when something is lost, wrong, stuck or left behind. */
import { parseArgs } from 'node:util';
import { soak } from './soak.ts';

const { values } = parseArgs({
  options: { minutes: { type: 'string' }, seed: { type: 'string' } },
});
const minutes = Number(values.minutes ?? '1');
const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 31));
const say = (line: string): void => void process.stderr.write(`${line}\n`);
if (!(minutes > 0) || !Number.isInteger(seed)) {
  say('usage: npm run soak -- [--minutes 1] [--seed <whole number>]');
  process.exit(2);
}
say(`soak of ${minutes} min with seed ${seed}`);
const report = await soak({ seconds: minutes * 60, seed, say });
process.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
process.exitCode = report.violations.length === 0 ? 0 : 1;
