import { afterAll, beforeAll, expect, it } from 'vitest';
import { waitFor } from '@manta/runtime/testing/wait-for';
import { get, init, listNodes, put, shutdown } from '@manta/sdk';
import { startTestCluster, type TestCluster } from '@manta/sdk/testing';
import { HolderActor } from './fixtures/objects.ts';
import { coreOf } from './testing/core.ts';

const MIB = 2 ** 20;
/** 4 MiB. */
const LENGTH = MIB;
const ACCESS = 'MANTA_STORE_ACCESS';

let cluster: TestCluster;

/** Here, and in all processes that are started from here, as where koffi does not load. */
beforeAll(async () => {
  process.env[ACCESS] = 'copied';
  cluster = await startTestCluster({ nodes: [{ objectStoreBytes: 32 * MIB }] });
  await init({ address: cluster.address, logToDriver: false });
});
afterAll(async () => {
  delete process.env[ACCESS];
  await shutdown();
  await cluster[Symbol.asyncDispose]();
});

it('processes that copy put, get and pass large values through the store', async () => {
  const holder = HolderActor.create();
  const ref = put(new Float32Array(LENGTH).fill(2));
  const value = await get(ref);
  expect([value.length, value[LENGTH - 1]]).toEqual([LENGTH, 2]);
  expect(await holder.sum(ref)).toBe(2 * LENGTH);
  const made = holder.make(LENGTH, 3);
  expect((await get(made))[0]).toBe(3);
  expect(await holder.sum(made)).toBe(3 * LENGTH);
  const { bytesCopiedOut } = coreOf(ref).store.statistics() ?? {};
  expect(bytesCopiedOut).toBeGreaterThan(4 * LENGTH);
  expect((await holder.storeStatistics())?.bytesCopiedOut).toBeGreaterThan(4 * LENGTH);
});

it('what a store of copies has no memory for goes to disk, and comes back', async () => {
  const holder = HolderActor.create();
  const refs = Array.from({ length: 12 }, (_, index) => put(new Float32Array(LENGTH).fill(index)));
  await waitFor(async () => ((await listNodes())[0]?.objectStore?.spilledBytes ?? 0) > 0, {
    describe: 'objects on disk',
  });
  for (const [index, ref] of refs.entries()) expect(await holder.sum(ref)).toBe(index * LENGTH);
  const values = await get(refs);
  expect(values.map((value) => value[0])).toEqual(refs.map((_, index) => index));
});
