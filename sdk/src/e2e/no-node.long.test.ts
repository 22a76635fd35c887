import { afterAll, beforeAll, expect, it } from 'vitest';
import { get, init, type ObjectRef, put, shutdown, wait } from '@manta/sdk';
import { startTestCluster, type TestCluster } from '@manta/sdk/testing';
import { HolderActor } from './fixtures/objects.ts';
import { coreOf } from './testing/core.ts';

const MIB = 2 ** 20;
/** More than a frame may have. */
const BYTES = 132 * MIB;
const LENGTH = BYTES / 4;

let cluster: TestCluster;

/** There is no node when this program starts: it keeps what it owns in its heap. */
beforeAll(async () => {
  cluster = await startTestCluster({ nodes: [] });
  await init({ address: cluster.address, logToDriver: false });
  await cluster.addNode();
});
afterAll(async () => {
  await shutdown();
  await cluster[Symbol.asyncDispose]();
});

/** Where others may pull the value of a ref of this program from. */
function copiesOf(ref: ObjectRef<unknown>): number {
  const { objects } = coreOf(ref);
  const { content } = ref as unknown as { content: { blob: { blobId: never } } };
  return objects.blobs.sources.copies(content.blob.blobId).length;
}

it('a program without a store reads large values, and passes them on as refs, inside values too', async () => {
  const ref = put(new Float32Array(LENGTH).fill(1));
  expect(coreOf(ref).store.isAvailable).toBe(false);
  expect((await wait([ref])).ready).toHaveLength(1);
  const value = await get(ref);
  expect([value.length, value[LENGTH - 1]]).toEqual([LENGTH, 1]);

  const holder = HolderActor.create();
  expect(await holder.sum(ref)).toBe(LENGTH);
  await holder.hold({ ref });
  expect(await holder.waitHeld(true)).toBe(1);
  // The node has it now, and others may pull it from there.
  expect(copiesOf(ref)).toBe(2);
});

it('a program without a store passes large values as arguments', async () => {
  const holder = HolderActor.create();
  expect(await holder.sum(new Float32Array(LENGTH).fill(1))).toBe(LENGTH);
});

it('a text is as good a large value as any', async () => {
  const ref = put('x'.repeat(BYTES));
  expect((await get(ref)).length).toBe(BYTES);
  const holder = HolderActor.create();
  await holder.hold({ ref });
  expect(await holder.waitHeld(true)).toBe(1);
});
