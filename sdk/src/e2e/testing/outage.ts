import { expect } from 'vitest';
import { explain, get, getActor, kill, listActors, listNodes, type ActorOptions } from '@manta/sdk';
import type { TestCluster } from '@manta/sdk/testing';
import { waitFor } from '@manta/runtime/testing/wait-for';
import { LifeActor } from '../fixtures/lives.ts';
import { failureOf, type Journals } from './journal.ts';
import { processGone } from './processes.ts';

export interface Outage {
  cluster: TestCluster;
  journals: Journals;
  begin: () => Promise<void>;
  end: () => Promise<void>;
}

/** What must hold while the head cannot be reached, and after it is back. */
export async function expectOutageIsHarmless({
  cluster,
  journals,
  begin,
  end,
}: Outage): Promise<void> {
  const create = (options: ActorOptions = {}) => {
    const journal = journals.create();
    return { journal, actor: LifeActor.options(options).create(journal.file) };
  };
  const worker = create();
  const named = create({ name: 'survivor', lifetime: 'detached' });
  const light = create({ isolation: 'shared' });
  const mortal = create();
  const risen = create({ maxRestarts: 1, maxTaskRetries: -1 });
  const all = [worker, named, light, mortal, risen];
  const before = await get(all.map(({ actor }) => actor.where()));
  const pidOf = (life: (typeof all)[number]): number => before[all.indexOf(life)]?.pid ?? 0;
  const underWay = worker.actor.noteSlowly('under way', 700);
  await waitFor(() => worker.journal.count('under way') === 1, { describe: 'the call runs' });

  await begin();
  expect(await underWay).toBe('under way');
  expect(await worker.actor.add(1)).toBe(1);
  expect(await named.actor.add(1)).toBe(1);
  expect(await light.actor.add(1)).toBe(1);
  const newcomer = create();
  const first = newcomer.actor.where();
  const why = await explain(first);
  expect(why.reason).toMatch(/head/i);
  for (const life of [mortal, risen]) {
    process.kill(pidOf(life), 'SIGKILL');
    await processGone(pidOf(life));
  }
  const lost = failureOf(mortal.actor.add(1));
  const again = risen.actor.where();

  await end();
  expect((await get(first, { timeoutMs: 15_000 })).restarts).toBe(0);
  expect(await lost).toMatchObject({
    name: 'ActorDiedError',
    deathCause: { kind: 'process-died', signal: 'SIGKILL' },
  });
  expect((await again).restarts).toBe(1);
  const nodeIds = cluster.nodes.map(({ nodeId }) => nodeId);
  await waitFor(
    async () => {
      const nodes = await listNodes();
      return nodeIds.every((nodeId) =>
        nodes.some((node) => node.nodeId === nodeId && node.state === 'alive'),
      );
    },
    { describe: 'all nodes are alive' },
  );
  const alive = await listActors({ state: 'alive' });
  for (const life of [worker, named, light])
    expect(alive.map(({ pid }) => pid)).toContain(pidOf(life));
  const found = await getActor<{ where(): { pid: number; restarts: number } }>('survivor');
  expect(await found.where()).toMatchObject({ pid: pidOf(named), restarts: 0 });
  expect(await worker.actor.add(1)).toBe(2);
  await Promise.all([worker, named, light, risen, newcomer].map(({ actor }) => kill(actor)));
}
