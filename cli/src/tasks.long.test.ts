/** How far tasks are, as people and programs ask for it: real processes on two nodes. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ClusterTask } from '@manta/runtime/state/cluster-tasks';
import { waitFor } from '@manta/runtime/testing/wait-for';
import { systemClock } from '@manta/runtime/time/clock';
import type { JobTaskCounts } from '@manta/runtime/wire/state-messages';
import { actorIdOf, get, init, kill, listTasks, shutdown } from '@manta/sdk';
import { startTestCluster, type TestCluster } from '@manta/sdk/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { run } from './run.ts';
import { failAt, spinFor } from './testing/counted-tasks.ts';
import { HolderActor, plusOne } from './testing/holder-actor.ts';

type Counts = Pick<JobTaskCounts, 'queued' | 'running' | 'finished' | 'failed'>;

let home: string;
let cluster: TestCluster;
let jobId: string;

beforeAll(async () => {
  home = mkdtempSync(join(tmpdir(), 'mt-'));
  cluster = await startTestCluster({ nodes: [{ cpus: 1 }, { cpus: 1 }] });
  ({ jobId } = await init({ address: cluster.address, logToDriver: false }));
});
afterAll(async () => {
  await shutdown();
  await cluster[Symbol.asyncDispose]();
  rmSync(home, { recursive: true, force: true });
});

async function manta(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const [out, err]: [string[], string[]] = [[], []];
  const code = await run(args, {
    environment: { MANTA_ADDRESS: cluster.address },
    home,
    clock: systemClock,
    out: (text) => out.push(text),
    err: (text) => err.push(text),
    columns: undefined,
    interrupted: new AbortController().signal,
  });
  return { code, out: out.join('\n'), err: err.join('\n') };
}

async function json<T>(...args: string[]): Promise<T> {
  const { code, out, err } = await manta(...args, '--json');
  expect(code, err).toBe(0);
  return JSON.parse(out) as T;
}

const detail = (...args: string[]) => json<ClusterTask[]>('list', 'tasks', '--detail', ...args);

describe('the progress of many tasks', () => {
  it('moves from queued over running to finished, and adds up', async () => {
    const total = 20_000;
    const status = async (): Promise<Counts | undefined> => {
      const { jobs } = await json<{ jobs: { jobId: string; tasks?: Counts }[] }>('status');
      return jobs.find((job) => job.jobId === jobId)?.tasks;
    };
    const listed = async (): Promise<Counts | undefined> => {
      const { tasks } = await json<{ tasks: JobTaskCounts[] }>('list', 'tasks', '--job', jobId);
      return tasks.find(({ name }) => name === 'spinFor');
    };
    const refs = Array.from({ length: total }, () => spinFor(0.5));
    const samples: Counts[] = [];
    await waitFor(
      async () => {
        for (const sample of [await status(), await listed()])
          if (sample !== undefined) samples.push(sample);
        return samples.at(-1)?.finished === total;
      },
      { describe: 'all have finished', timeoutMs: 90_000, intervalMs: 100 },
    );
    for (const { queued, running, finished, failed } of samples) {
      expect(queued + running + finished + failed).toBe(total);
      expect(running).toBeLessThanOrEqual(2);
    }
    const finished = samples.map((sample) => sample.finished);
    expect(finished).toEqual(finished.toSorted((a, b) => a - b));
    expect(samples.some(({ queued, running }) => queued > 0 && running > 0)).toBe(true);
    expect(new Set(finished).size).toBeGreaterThan(2);
    expect(samples.at(-1)).toMatchObject({ queued: 0, running: 0, failed: 0 });
    await get(refs);
  });
});

describe('each task', () => {
  it('is listed from its submission to its end, whoever asks', async () => {
    const actor = HolderActor.create();
    const blocked = actor.block();
    const waiting = plusOne(blocked as never);
    await waitFor(
      async () => (await detail('--type', 'actor-call'))[0]?.state === 'submitted-to-worker',
      { describe: 'the call was sent' },
    );
    const ofActor = await detail('--actor', actorIdOf(actor));
    expect(ofActor).toMatchObject([
      { type: 'actor-call', name: 'Holder.block', objectId: blocked.id },
    ]);
    expect(await detail('--state', 'pending-args')).toMatchObject([
      { type: 'task', name: 'plusOne', jobId, objectId: waiting.id },
    ]);
    await actor.go();
    await waiting;
    const [over] = await listTasks({ name: 'plusOne' });
    expect(over).toMatchObject({ state: 'finished', taskId: expect.stringMatching(/^t_/) });
    expect(cluster.nodes.map(({ nodeId }) => nodeId)).toContain(over?.nodeId);
    expect(await detail('--actor', actorIdOf(actor))).toEqual([]);
    await kill(actor);
  });

  it('that failed tells with what, and is not crowded out by those that did not', async () => {
    await Promise.allSettled([failAt(1), failAt(2)]);
    const failed = await detail('--state', 'failed');
    expect(failed.map(({ name, errorMessage }) => [name, errorMessage])).toEqual([
      ['failAt', expect.stringContaining('no place')],
      ['failAt', expect.stringContaining('no place')],
    ]);
    expect(failed[0]).toMatchObject({ errorType: 'TaskError', jobId });
    const { out } = await manta('list', 'tasks', '--detail', '--limit', '3');
    expect(out).toMatch(/ERROR\n.*failAt +failed .*TaskError: .*no place/);
    expect(out).toMatch(/and more: see --limit/);
  });

  it('is looked for with what a task has', async () => {
    await expect(listTasks({ state: 'lost' as never })).rejects.toThrow(/filter of tasks: state/);
    await expect(listTasks({ colour: 1 } as never)).rejects.toThrow(/filter of tasks: colour/);
    await expect(listTasks({ limit: 0 })).rejects.toThrow(/limit must be/);
    expect(await manta('list', 'tasks', '--state', 'failed')).toMatchObject({
      code: 2,
      err: expect.stringContaining('--state needs --detail'),
    });
  });
});
