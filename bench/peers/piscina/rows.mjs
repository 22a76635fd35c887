/**
 * The task rows that piscina can run; prints one line of JSON to standard output. Its workers are threads of this
 * process, ours are processes.
 *
 *     node rows.mjs [--quick] [--settle SECONDS] [--rows NAME,NAME]
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Piscina } from 'piscina';
import { readOptions, timeRow } from '../timing.mjs';

const batchTasks = 1000;
const { wanted, timing } = readOptions();

const pool = new Piscina({ filename: fileURLToPath(new URL('worker.mjs', import.meta.url)) });
const batch = () => Promise.all(Array.from({ length: batchTasks }, () => pool.run()));

const definitions = {
  single_client_tasks_sync: { unit: 'task/s', multiplier: 1, run: () => pool.run() },
  single_client_tasks_async: { unit: 'task/s', multiplier: batchTasks, run: batch },
  single_client_tasks_and_get_batch: { unit: 'batch/s', multiplier: 1, run: batch },
};

const rows = {};
for (const [name, { unit, multiplier, run }] of Object.entries(definitions)) {
  if (wanted !== undefined && !wanted.includes(name)) continue;
  rows[name] = { ...(await timeRow(multiplier, run, timing)), unit };
  const { value, sd } = rows[name];
  console.error(`piscina ${name}: ${value.toPrecision(4)} ± ${sd.toPrecision(2)} ${unit}`);
}
await pool.destroy();
const manifest = new URL('node_modules/piscina/package.json', import.meta.url);
console.log(JSON.stringify({ version: JSON.parse(readFileSync(manifest, 'utf8')).version, rows }));
