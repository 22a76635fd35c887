import { availableParallelism } from 'node:os';
import { init, shutdown } from '@manta/sdk';
import { startTestCluster } from '@manta/sdk/testing';
import { peakMemoryBytes, resetPeakMemory } from '../harness/process-tree.ts';
import type { Row } from '../report/report.ts';
import type { SuiteSettings } from './suite.ts';
import { submitAndGet } from './task-definitions.ts';

export const queuedRowNames: readonly string[] = [
  '1000000_queued',
  '1000000_queued_driver_memory',
  '1000000_queued_head_memory',
];
const bytesPerMebibyte = 2 ** 20;

/** A million tasks at once, and the most memory that they take of who submits them and of the head. */
export async function runQueuedRows(settings: SuiteSettings): Promise<Row[]> {
  if (!queuedRowNames.some((name) => settings.wants(name))) return [];
  const count = settings.quick ? 1_000 : 1_000_000;
  // The head of a private cluster shares a process with its node.
  await using cluster = await startTestCluster({ nodes: [{ cpus: availableParallelism() }] });
  await init({ address: cluster.address, logToDriver: false });
  const measured = process.platform === 'linux' ? [process.pid, cluster.headPid as number] : [];
  for (const pid of measured) await resetPeakMemory(pid);
  const start = performance.now();
  await submitAndGet(count);
  const elapsedMs = performance.now() - start;
  const peaks = await Promise.all(measured.map((pid) => peakMemoryBytes(pid)));
  await shutdown();
  const rows = [rowOf('1000000_queued', 'task/s', count / (elapsedMs / 1000))];
  for (const [index, peak] of peaks.entries())
    rows.push(rowOf(queuedRowNames[index + 1] as string, 'MiB', peak / bytesPerMebibyte));
  if (peaks.length === 0) settings.onNote('1000000_queued_*_memory: only Linux tells it');
  for (const row of rows) settings.onRow(row);
  return rows;
}

function rowOf(name: string, unit: string, value: number): Row {
  return { suite: 'tasks', name, unit, value, sd: 0, peers: {} };
}
