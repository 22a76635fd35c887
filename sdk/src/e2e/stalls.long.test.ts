import { afterAll, beforeAll, expect, it } from 'vitest';
import { get, init, kill, listActors, listNodes, shutdown, type ActorOptions } from '@manta/sdk';
import { startTestCluster, type TestCluster, type TestNode } from '@manta/sdk/testing';
import { ChildDriver } from './testing/child-driver.ts';
import { blockEventLoop } from './testing/event-loop.ts';
import { LifeActor } from './fixtures/lives.ts';
import { Journals } from './testing/journal.ts';

const STALL_MS = 20_000;
const ISOLATIONS = ['process', 'thread', 'shared'] as const;

const journals = new Journals();
let cluster: TestCluster;

beforeAll(async () => {
  cluster = await startTestCluster({ nodes: [{ cpus: 8 }, { cpus: 8 }] });
  await init({ address: cluster.address, namespace: 'tests', logToDriver: false });
});
afterAll(async () => {
  await shutdown();
  await cluster[Symbol.asyncDispose]();
  journals.remove();
});

const createLife = (options: ActorOptions = {}) =>
  LifeActor.options(options).create(journals.create().file);

async function expectNodesAlive(): Promise<void> {
  const nodes = await listNodes();
  expect(nodes).toHaveLength(cluster.nodes.length);
  for (const { state } of nodes) expect(state).toBe('alive');
}

it('lets actors and drivers be busy', async () => {
  const driver = await ChildDriver.start(cluster.address, 'tests');
  const { actorId } = await driver.ask<{ actorId: string }>('create', { key: 'a' });
  const actors = ISOLATIONS.map((isolation) => createLife({ isolation }));
  const before = await get(actors.map((actor) => actor.where()));
  const driverIsBusy = driver.ask('block', { milliseconds: STALL_MS });
  expect(await get(actors.map((actor) => actor.block(STALL_MS)))).toEqual(
    ISOLATIONS.map(() => 'unblocked'),
  );
  await driverIsBusy;
  expect(await get(actors.map((actor) => actor.where()))).toEqual(before);
  expect((await listActors()).find((info) => info.actorId === actorId)).toMatchObject({
    state: 'alive',
    restarts: 0,
  });
  await expectNodesAlive();
  await Promise.all([...actors.map((actor) => kill(actor)), driver.kill()]);
});

it('lets the event loop of a node agent be busy', async () => {
  const [node] = cluster.nodes as [TestNode];
  const scheduling = { nodeId: node.nodeId };
  const actors = ISOLATIONS.map((isolation) => createLife({ isolation, scheduling }));
  const before = await get(actors.map((actor) => actor.where()));
  await blockEventLoop(node.pid, STALL_MS);
  const late = createLife({ scheduling }).where();
  expect(
    await get(actors.map((actor) => actor.noteSlowly('through it', STALL_MS / 2))),
  ).toHaveLength(3);
  await expectNodesAlive();
  expect((await late).nodeId).toBe(node.nodeId);
  expect(await get(actors.map((actor) => actor.where()))).toEqual(before);
  await expectNodesAlive();
  await Promise.all(actors.map((actor) => kill(actor)));
});

it('lets the event loop of the head be busy', async () => {
  const actors = ISOLATIONS.map((isolation) => createLife({ isolation }));
  const before = await get(actors.map((actor) => actor.where()));
  await blockEventLoop(cluster.headPid as number, STALL_MS);
  const late = createLife().where();
  expect(await get(actors.map((actor) => actor.add(1)))).toEqual([1, 1, 1]);
  expect((await late).restarts).toBe(0);
  expect(await get(actors.map((actor) => actor.where()))).toEqual(before);
  await expectNodesAlive();
  await Promise.all(actors.map((actor) => kill(actor)));
});

it('lets a node agent stand still for a second and a half', async () => {
  const [node] = cluster.nodes as [TestNode];
  const actor = createLife({ scheduling: { nodeId: node.nodeId } });
  const before = await actor.where();
  node.pause();
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  node.resume();
  expect(await actor.where()).toEqual(before);
  await expectNodesAlive();
});
