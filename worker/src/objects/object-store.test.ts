import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { waitFor } from '@manta/runtime/testing/wait-for';
import { afterEach, describe, expect, it } from 'vitest';
import { MIB, randomValue, StoreWorld, type StoreWorldOptions } from '../testing/store-world.ts';

let world: StoreWorld;

afterEach(async () => {
  const { root } = world;
  await world.close();
  expect(existsSync(root)).toBe(false);
});

async function open(options: StoreWorldOptions): Promise<void> {
  world = await StoreWorld.open(options);
}

async function until(condition: () => unknown): Promise<void> {
  await waitFor(condition, { timeoutMs: 10_000, describe: String(condition) });
}

describe('room', () => {
  it('is made by moving the least recently used to disk, and what was moved comes back', async () => {
    await open({ limitBytes: 16 * MIB });
    const process = await world.addProcess();
    const values = Array.from({ length: 12 }, () => randomValue(3 * MIB));
    const blobs = [];
    for (const value of values) blobs.push(await process.put(value));
    expect(world.store.usage().diskBytes).toBeGreaterThan(0);
    for (const [index, blob] of blobs.entries())
      expect(Buffer.compare(await process.read(blob), values[index] as Buffer)).toBe(0);
  });
});
