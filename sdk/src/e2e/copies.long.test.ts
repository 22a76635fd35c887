import { afterAll, beforeAll, expect, it } from 'vitest';
import { waitFor } from '@manta/runtime/testing/wait-for';
import { init, listNodes, shutdown, wait } from '@manta/sdk';
import { startTestCluster, type TestCluster, type TestNode } from '@manta/sdk/testing';
import { MoverActor } from './fixtures/movers.ts';

const MIB = 2 ** 20;
/** 4 MiB. */
const LENGTH = MIB;
const VALUES = 10;

let cluster: TestCluster;

beforeAll(async () => {
  const sizes = [64 * MIB, 16 * MIB];
  cluster = await startTestCluster({
    nodes: sizes.map((objectStoreBytes) => ({ objectStoreBytes })),
  });
  await init({ address: cluster.address, logToDriver: false });
});
afterAll(async () => {
  await shutdown();
  await cluster[Symbol.asyncDispose]();
});

const storeOf = async ({ nodeId }: TestNode) =>
  (await listNodes()).find((node) => node.nodeId === nodeId)?.objectStore;

it('a node that is short of memory gives up what it pulled, and writes to disk only what no other node has', async () => {
  const [roomy, narrow] = cluster.nodes as [TestNode, TestNode];
  const moverOn = ({ nodeId }: TestNode) =>
    MoverActor.options({ scheduling: { nodeId, soft: false } }).create();
  const [maker, reader] = [moverOn(roomy), moverOn(narrow)];
  const values = Array.from({ length: VALUES }, () => maker.make(LENGTH));
  await wait(values, { numReturns: VALUES, fetchLocal: false });
  for (const value of values) expect(await reader.sum(value)).toBe(LENGTH);
  const isTold = async (): Promise<boolean> => ((await storeOf(narrow))?.evictions ?? 0) > 0;
  await waitFor(isTold, { describe: 'copies that were given up' });
  expect(await storeOf(narrow)).toMatchObject({ spilledBytes: 0, diskBytes: 0 });
  // They are pulled again; what only this node has stays.
  for (const value of values) expect(await reader.sum(value)).toBe(LENGTH);
  const own = reader.make(2 * LENGTH);
  await wait([own], { fetchLocal: false });
  expect(await reader.sum(own)).toBe(2 * LENGTH);
});
