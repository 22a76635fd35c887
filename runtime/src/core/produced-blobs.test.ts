import { beforeEach, expect, it } from 'vitest';
import type { BlobId } from '../ids.ts';
import type { SlotAddress } from '../objects/blob.ts';
import type { ProcessStore } from './process-store.ts';
import { ProducedBlobs } from './produced-blobs.ts';

const blobIds = ['b_1', 'b_2', 'b_3'] as BlobId[];
const slotOf = (index: number): SlotAddress => ({ segmentId: 1, offset: index, generation: 1 });

let released: (readonly SlotAddress[])[];
let produced: ProducedBlobs;

beforeEach(() => {
  released = [];
  const store = { release: (slots: readonly SlotAddress[]) => void released.push(slots) };
  produced = new ProducedBlobs(store as unknown as ProcessStore);
  blobIds.forEach((blobId, index) => produced.add(blobId, slotOf(index), 1, 0));
});

it('are given back at once for all of a turn, each once', async () => {
  const [first, second] = blobIds as [BlobId, BlobId];
  expect(produced.release([first])).toEqual([first]);
  expect(produced.release([first, second])).toEqual([second]);
  expect([produced.size, released]).toEqual([1, []]);
  await Promise.resolve();
  expect(released).toEqual([[slotOf(0), slotOf(1)]]);
  produced.release(blobIds);
  await Promise.resolve();
  expect(released.slice(1)).toEqual([[slotOf(2)]]);
});

it('are given back before that when their place is wanted', async () => {
  produced.release(blobIds.slice(0, 1));
  produced.flush();
  expect(released).toEqual([[slotOf(0)]]);
  produced.flush();
  await Promise.resolve();
  expect(released).toHaveLength(1);
});
