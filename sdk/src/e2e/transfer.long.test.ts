import { afterAll, beforeAll, expect, it } from 'vitest';
import { StoredValue } from '@manta/runtime/objects/stored-value';
import { waitFor } from '@manta/runtime/testing/wait-for';
import { get, init, type ObjectRef, put, shutdown } from '@manta/sdk';
import { startTestCluster, type TestCluster, type TestNode } from '@manta/sdk/testing';
import { MoverActor } from './fixtures/movers.ts';
import { coreOf } from './testing/core.ts';

/** 64 MiB. */
const LENGTH = 16 * 2 ** 20;
const READERS = 6;

let cluster: TestCluster;
/** The nodes that this program is not on. */
let nodes: TestNode[];

beforeAll(async () => {
  cluster = await startTestCluster({ nodes: Array.from({ length: READERS + 1 }, () => ({})) });
  await init({ address: cluster.address, logToDriver: false });
  const ref = put(new Float32Array(LENGTH));
  await get(ref);
  const own = coreOf(ref).store.agent?.nodeId;
  nodes = cluster.nodes.filter(({ nodeId }) => nodeId !== own);
});
afterAll(async () => {
  await shutdown();
  await cluster[Symbol.asyncDispose]();
});

const moverOn = ({ nodeId }: TestNode) =>
  MoverActor.options({ scheduling: { nodeId, soft: false } }).create();

/** Pulls that this program, which owns the object, has given a source, by node. */
function pullsOf(ref: ObjectRef<unknown>): ReadonlyMap<string, number> {
  const { content } = ref as unknown as { content: unknown };
  if (!(content instanceof StoredValue)) throw new Error('the value is not in shared memory');
  return coreOf(ref).objects.blobs.sources.pullsBySource(content.blob.blobId);
}
const sum = (counts: Iterable<number>): number => [...counts].reduce((all, one) => all + one, 0);

it('brings a value to all nodes as a tree', async () => {
  const ref = put(new Float32Array(LENGTH).fill(1));
  const movers = nodes.map(moverOn);
  await Promise.all(movers.map((mover) => mover.pid()));
  const sums = await Promise.all(movers.map((mover) => mover.sum(ref)));
  expect(sums).toEqual(nodes.map(() => LENGTH));
  const pulls = pullsOf(ref);
  expect(sum(pulls.values())).toBe(READERS);
  expect(pulls.size).toBeGreaterThan(1);
  expect(Math.max(...pulls.values())).toBeLessThanOrEqual(4);
});

it('brings a value to a node once, however many want it there', async () => {
  const [node] = nodes as [TestNode];
  const ref = put(new Float32Array(LENGTH).fill(1));
  const movers = [moverOn(node), moverOn(node)];
  await Promise.all(movers.map((mover) => mover.pid()));
  expect(await Promise.all(movers.map((mover) => mover.sum(ref)))).toEqual([LENGTH, LENGTH]);
  expect(sum(pullsOf(ref).values())).toBe(1);
});

it('goes on from another copy when the source is killed during a pull', async () => {
  const [first, second, third] = nodes as [TestNode, TestNode, TestNode];
  const [maker, copier, reader] = [moverOn(first), moverOn(second), moverOn(third)];
  const ref = maker.make(2 * LENGTH);
  expect(await copier.sum(ref)).toBe(2 * LENGTH);
  await reader.pid();
  const value = reader.sum(ref);
  await waitFor(() => pullsOf(ref).get(first.nodeId) === 2, {
    describe: 'the second pull from the first node',
    intervalMs: 1,
  });
  first.pause();
  await first.kill();
  expect(await value).toBe(2 * LENGTH);
  expect(pullsOf(ref).get(second.nodeId)).toBe(1);
});

it('fails at once when the only source is killed during a pull', async () => {
  const [, second, third] = nodes as [TestNode, TestNode, TestNode];
  const [maker, reader] = [moverOn(second), moverOn(third)];
  const ref = maker.make(LENGTH);
  await reader.pid();
  await waitFor(() => pullsOf(ref).size === 0, { describe: 'the value in its place' });
  second.pause();
  const outcome = reader.sum(ref).catch((error: unknown) => error);
  await waitFor(() => pullsOf(ref).get(second.nodeId) === 1, { describe: 'the pull' });
  await second.kill();
  expect(await outcome).toMatchObject({ name: 'ObjectLostError' });
});

it('fails at once when the owner is killed during a pull, though the source is there', async () => {
  const [, , third, fourth] = nodes as [TestNode, TestNode, TestNode, TestNode];
  const [owner, reader] = [moverOn(fourth), moverOn(third)];
  const [pid] = await Promise.all([owner.pid(), reader.pid()]);
  const { ref } = await owner.putHere(LENGTH);
  await waitFor(async () => (await owner.pullsOfOwn()) === 0, {
    describe: 'the value in its place',
  });
  fourth.pause();
  const outcome = reader.sum(ref).catch((error: unknown) => error);
  await waitFor(async () => (await owner.pullsOfOwn()) === 1, { describe: 'the pull' });
  process.kill(pid, 'SIGKILL');
  expect(await outcome).toMatchObject({ name: 'OwnerDiedError' });
  fourth.resume();
});
