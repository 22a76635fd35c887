import { init, shutdown, get } from '@manta/sdk';
import { readFileSync } from 'node:fs';
import { Actor, AsyncActor } from './dist/suites/core-actors.js';
const [which = 'both', seconds = '3', prof] = process.argv.slice(2);
await init({ cpus: 4, logToDriver: false });
const env = prof ? { runtimeEnv: { env: { NODE_OPTIONS: `--cpu-prof --cpu-prof-dir=${prof} --cpu-prof-interval=200` } } } : {};
const cpu = (pid) => { const f = readFileSync(`/proc/${pid}/task/${pid}/stat`, 'utf8').split(') ')[1].split(' '); return (Number(f[11]) + Number(f[12])) * 10; };
const classes = { sync: Actor, async: AsyncActor };
import { execSync } from 'node:child_process';
for (const name of which === 'both' ? ['sync', 'async', 'sync', 'async', 'sync', 'async'] : which.split(',')) {
  const actor = classes[name].options({ ...env }).create();
  await actor.smallValue();
  const pids = execSync(`pgrep -f "manta:(Async|Sync)Server" || true`).toString().trim().split('\n').map(Number);
  const pid = pids.at(-1);
  const batch = () => get(Array.from({ length: 1000 }, () => actor.smallValue()));
  const w = performance.now(); while (performance.now() - w < 1000) await batch();
  const [c0, d0, t0] = [cpu(pid), cpu(process.pid), performance.now()];
  let n = 0; while (performance.now() - t0 < Number(seconds) * 1000) { await batch(); n += 1000; }
  const ms = performance.now() - t0;
  console.log(name.padEnd(6), (n / ms * 1000 / 1e6).toFixed(3), 'M/s', 'wall', (ms * 1e6 / n).toFixed(0), 'host', ((cpu(pid) - c0) * 1e6 / n).toFixed(0), 'driver', ((cpu(process.pid) - d0) * 1e6 / n).toFixed(0), 'ns/call');
  const { kill } = await import('@manta/sdk');
  if (prof) await actor[Symbol.asyncDispose]?.();
  await kill(actor).catch(() => {});
  await new Promise((r) => setTimeout(r, 300));
}
await shutdown();
