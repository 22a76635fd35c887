import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { availableResources, get, init, listJobs, listNodes, shutdown } from '@manta/sdk';
import { startTestCluster, type TestCluster } from '@manta/sdk/testing';
import { add, context, giveOwned, nest, note, noteSlowly, pid } from './fixtures/tasks.ts';
import { failureOf, Journals, seen } from './testing/journal.ts';
import { isAlive } from './testing/processes.ts';

const journals = new Journals();
let cluster: TestCluster;

beforeAll(async () => {
  cluster = await startTestCluster({ nodes: [{ cpus: 2 }, { cpus: 1, gpus: 1 }] });
  await init({ address: cluster.address, logToDriver: false });
});
afterAll(async () => {
  await shutdown();
  await cluster[Symbol.asyncDispose]();
  journals.remove();
});

const allFree = () =>
  expect.poll(async () => (await availableResources())['cpus'], { timeout: 10_000 }).toBe(3);

describe('a cluster', () => {
  it('runs tasks on all its nodes, at most as many as it has CPUs', async () => {
    const journal = journals.create();
    const pids = await get(
      Array.from({ length: 6 }, (_, index) => noteSlowly(journal.file, `${index}`, 200)),
    );
    expect(new Set(pids).size).toBeGreaterThanOrEqual(3);
    await allFree();
  });

  it('gives each GPU task a process of its own, which sees its device alone', async () => {
    const onGpu = context.options({ gpus: 1 });
    expect(await onGpu()).toMatchObject({ gpuIds: ['0'], assignedResources: { cpus: 1, gpus: 1 } });
    const pids: number[] = [];
    for (let call = 0; call < 3; call += 1) pids.push(await pid.options({ gpus: 1 })());
    expect(new Set(pids).size).toBe(3);
    await allFree();
  });

  it('keeps a worker that has run as often as it may while what it owns is in use', async () => {
    const once = giveOwned.options({ maxCalls: 1 });
    const [first, second] = await get([once('first'), once('second')]);
    expect(second.pid).not.toBe(first.pid);
    await allFree();
    expect([isAlive(first.pid), isAlive(second.pid)]).toEqual([true, true]);
    expect(await get([first.ref, second.ref])).toEqual(['first', 'second']);
  });

  it('keeps the device of such a worker with it, and lends its CPUs', async () => {
    const result = giveOwned.options({ gpus: 1 })('on the device');
    const { ref, pid: used } = await result;
    const next = pid.options({ gpus: 1 })();
    await allFree();
    expect((await availableResources())['gpus']).toBe(0);
    expect(await ref).toBe('on the device');
    expect(isAlive(used)).toBe(true);
    ref[Symbol.dispose]();
    result[Symbol.dispose]();
    expect(await next).not.toBe(used);
    expect(isAlive(used)).toBe(false);
    await expect.poll(async () => (await availableResources())['gpus']).toBe(1);
  });

  it('runs the tasks of a lost node elsewhere, and says so when it may not', async () => {
    const node = await cluster.addNode({ cpus: 2, labels: { only: 'here' } });
    const labels = { only: 'here' };
    const journal = journals.create();
    const { nodeId } = node;
    const moving = noteSlowly.options({ scheduling: { nodeId, soft: true } });
    const again = moving(journal.file, 'again', 700);
    const once = noteSlowly.options({ labels, maxRetries: 0 })(journal.file, 'once', 20_000);
    await seen(journal, 'again');
    await seen(journal, 'once');
    await node.kill();
    await again;
    expect(journal.count('again')).toBe(2);
    const failure = await failureOf(once);
    expect(failure).toMatchObject({ name: 'WorkerCrashedError', cause: { name: 'NodeDiedError' } });
    expect(journal.count('once')).toBe(1);
    const { state } = (await listNodes()).find((other) => other.nodeId === nodeId) ?? {};
    expect(state).toBe('dead');
    await allFree();
  });

  it('tells the progress of its jobs', async () => {
    await get(Array.from({ length: 100 }, (_, index) => add(index, 1)));
    await expect
      .poll(async () => (await listJobs()) as { tasks?: { finished: number; queued: number } }[], {
        timeout: 10_000,
      })
      .toEqual([
        expect.objectContaining({
          tasks: expect.objectContaining({ queued: 0, running: 0 }) as object,
        }),
      ]);
  });
});

describe('without a head', () => {
  it('tasks go on where there are workers; what waits for one gets it from the next head', async () => {
    const journal = journals.create();
    const running = [1, 2, 3].map((number) => noteSlowly(journal.file, `running ${number}`, 1_500));
    for (const number of [1, 2, 3]) await seen(journal, `running ${number}`);
    const queued = Array.from({ length: 20 }, (_, index) => note(journal.file, `queued ${index}`));
    await cluster.killHead('SIGKILL');
    await get(running);
    await get(queued);
    const other = note.options({ cpus: 0.5 })(journal.file, 'another shape');
    await cluster.restartHead();
    expect(await other).toBe('another shape');
    expect(await nest(4)).toBe(4);
    for (let index = 0; index < 20; index += 1) expect(journal.count(`queued ${index}`)).toBe(1);
    await allFree();
  });
});
