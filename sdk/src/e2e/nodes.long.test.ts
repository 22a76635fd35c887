import { afterAll, beforeAll, expect, it } from 'vitest';
import { init, listActors, listNodes, ready, shutdown } from '@manta/sdk';
import { startTestCluster, type TestCluster, type TestNode } from '@manta/sdk/testing';
import { waitFor } from '@manta/runtime/testing/wait-for';
import { LifeActor } from './fixtures/lives.ts';
import { ChildDriver } from './testing/child-driver.ts';
import { Journals } from './testing/journal.ts';

/** Longer than a driver that no node watches is believed to be alive. */
const UNWATCHED_MS = 66_000;

const journals = new Journals();
let cluster: TestCluster;

beforeAll(async () => {
  cluster = await startTestCluster({ nodes: [{ cpus: 8 }] });
  await init({ address: cluster.address, namespace: 'tests', logToDriver: false });
});
afterAll(async () => {
  await shutdown();
  await cluster[Symbol.asyncDispose]();
  journals.remove();
});

const unwatched = () => new Promise((resolve) => setTimeout(resolve, UNWATCHED_MS));

async function stateOf(actorId: string) {
  const info = (await listActors()).find((candidate) => candidate.actorId === actorId);
  return { state: info?.state, cause: info?.deathCause?.kind };
}

it('keeps a driver whose node has died, and ends what it made when it dies itself', async () => {
  const driver = await ChildDriver.start(cluster.address, 'tests');
  const [home] = cluster.nodes as [TestNode];
  const other = await cluster.addNode({ cpus: 8 });
  const options = { scheduling: { nodeId: other.nodeId } };
  const { actorId } = await driver.ask<{ actorId: string }>('create', { key: 'a', options });
  await home.kill();
  await unwatched();
  expect(await stateOf(actorId)).toEqual({ state: 'alive', cause: undefined });
  await driver.kill();
  await waitFor(async () => (await stateOf(actorId)).cause === 'owner-died', {
    timeoutMs: 5_000,
    describe: 'the actor is gone with its driver',
  });
});

it('keeps a driver in a cluster that has lost all its nodes', async () => {
  for (const node of cluster.nodes) await node.kill();
  await waitFor(async () => (await listNodes()).every(({ state }) => state === 'dead'), {
    describe: 'no node is alive',
  });
  const waiting = LifeActor.create(journals.create().file);
  await unwatched();
  await expect(ready(waiting, { timeoutMs: 1 })).rejects.toMatchObject({ name: 'GetTimeoutError' });
  await cluster.addNode({ cpus: 8 });
  expect(await waiting.add(1)).toBe(1);
});
