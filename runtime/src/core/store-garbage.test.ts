import { beforeEach, expect, it } from 'vitest';
import type { ProcessStore } from './process-store.ts';
import { StoreGarbage } from './store-garbage.ts';

const MIB = 1024 * 1024;
const LIMIT_BYTES = 1024 * MIB;
const SHARE_BYTES = 128 * MIB;

let heldBytes: number;
/** What a collection finds that nobody needs. */
let garbageBytes: number;
let collections: number;
let garbage: StoreGarbage;

beforeEach(() => {
  heldBytes = 0;
  garbageBytes = 0;
  collections = 0;
  garbage = new StoreGarbage(() => {
    collections += 1;
    heldBytes -= garbageBytes;
    garbageBytes = 0;
    return Promise.resolve();
  });
});

const store = {
  limitBytes: LIMIT_BYTES,
  get heldBytes() {
    return heldBytes;
  },
  sweep: () => undefined,
} as unknown as ProcessStore;

async function hold(bytes: number): Promise<void> {
  heldBytes += bytes;
  garbage.look(store);
  await new Promise((resolve) => setImmediate(resolve));
}

it('is collected when an eighth of the store is held more than after the last time', async () => {
  await hold(SHARE_BYTES - 1);
  expect(collections).toBe(0);
  garbageBytes = SHARE_BYTES;
  await hold(1);
  expect([collections, heldBytes]).toEqual([1, 0]);
  await hold(SHARE_BYTES);
  expect([collections, heldBytes]).toEqual([2, SHARE_BYTES]);
  await hold(SHARE_BYTES - 1);
  expect(collections).toBe(2);
});

it('is told of from when it is due until it was collected', async () => {
  heldBytes = SHARE_BYTES;
  expect(garbage.collecting).toBeUndefined();
  garbage.look(store);
  const { collecting } = garbage;
  expect(collections).toBe(0);
  await collecting;
  expect([collections, garbage.collecting]).toEqual([1, undefined]);
});

it('is left alone while what was stored is given back at once', async () => {
  for (let time = 0; time < 20; time += 1) {
    await hold(SHARE_BYTES - 1);
    await hold(1 - SHARE_BYTES);
  }
  expect(collections).toBe(0);
});

it('is looked for again as soon as less is held', async () => {
  await hold(4 * SHARE_BYTES);
  expect(collections).toBe(1);
  await hold(-4 * SHARE_BYTES);
  await hold(SHARE_BYTES);
  expect(collections).toBe(2);
});
