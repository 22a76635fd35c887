import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { get, init, MantaError, put, shutdown, type ObjectRef } from '@manta/sdk';
import { startTestCluster } from '@manta/sdk/testing';
import { FailingSpillStorage } from '@manta/worker/testing/failing-spill-storage';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { MIB, startStoreCluster, type StoreCluster } from './testing/store-cluster.ts';

const OBJECTS = 100;
const LIMIT_BYTES = 75 * MIB;

const digestOf = (value: Uint8Array): string => createHash('sha256').update(value).digest('hex');

/** 8 to 24 MiB. */
const randomObject = (): Buffer => randomBytes(Math.floor((8 + 16 * Math.random()) * MIB));

/** Puts far more than the store holds, then reads all of it in another order. */
async function putAndReadAll(): Promise<{ equal: number; bytes: number }> {
  const objects: [ObjectRef<Buffer>, string][] = [];
  let bytes = 0;
  for (let number = 0; number < OBJECTS; number += 1) {
    const value = randomObject();
    bytes += value.byteLength;
    objects.push([put(value), digestOf(value)]);
    if (objects.length % 8 === 0) await objects.at(-1)?.[0];
  }
  let equal = 0;
  for (const [ref, digest] of objects.toSorted(() => Math.random() - 0.5))
    if (digestOf(await get(ref)) === digest) equal += 1;
  return { equal, bytes };
}

describe('a store of 75 MiB and 100 objects of 8 to 24 MiB', () => {
  afterEach(() => shutdown());

  it('has all of them, readable and equal', async () => {
    const cluster = await startTestCluster({
      nodes: [{ cpus: 2, objectStoreBytes: LIMIT_BYTES }],
    });
    await init({ address: cluster.address, logToDriver: false });
    const { equal, bytes } = await putAndReadAll();
    expect(equal).toBe(OBJECTS);
    expect(bytes).toBeGreaterThan(10 * LIMIT_BYTES);
    await shutdown();
    await cluster[Symbol.asyncDispose]();
  });

  it('has all of them on a disk that fails half of the time', async () => {
    const spillStorage = new FailingSpillStorage({ share: 0.5 });
    const cluster = await startStoreCluster({ objectStoreBytes: LIMIT_BYTES, spillStorage });
    await init({ address: cluster.address, logToDriver: false });
    expect((await putAndReadAll()).equal).toBe(OBJECTS);
    expect(spillStorage.failures).toBeGreaterThan(OBJECTS);
    await shutdown();
    expect(await cluster.close()).toEqual([]);
  });
});

/** Only root may mount; elsewhere the full disk of the e2e suite has to do. */
describe.runIf(process.platform === 'linux' && process.getuid?.() === 0)('a disk of 48 MiB', () => {
  let disk: string;
  let cluster: StoreCluster;

  beforeEach(async () => {
    disk = mkdtempSync(join(tmpdir(), 'manta-disk-'));
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=48m', 'tmpfs', disk]);
    cluster = await startStoreCluster({
      objectStoreBytes: 32 * MIB,
      spillDirectories: [join(disk, 'spill')],
    });
    await init({ address: cluster.address, logToDriver: false });
  });
  afterEach(async () => {
    await shutdown();
    const left = await cluster.close();
    execFileSync('umount', [disk]);
    rmSync(disk, { recursive: true });
    if (left.length > 0) throw new Error(`left: ${left.join()}`);
  });

  it('that somebody else fills gives a typed error, and the store goes on when there is room again', async () => {
    const ballast = join(disk, 'ballast');
    writeFileSync(ballast, Buffer.alloc(40 * MIB));
    const kept: [ObjectRef<Buffer>, Buffer][] = [];
    let refusal: unknown;
    while (refusal === undefined) {
      const value = randomBytes(6 * MIB);
      const ref = put(value);
      try {
        expect(value.equals(await get(ref))).toBe(true);
        kept.push([ref, value]);
      } catch (error) {
        refusal = error;
      }
    }
    expect(MantaError.is(refusal, 'ObjectStoreFullError')).toBe(true);
    expect((refusal as Error).message).toContain('ENOSPC');
    unlinkSync(ballast);
    for (let more = 0; more < 3; more += 1) {
      const value = randomBytes(6 * MIB);
      kept.push([put(value), value]);
    }
    for (const [ref, value] of kept) expect(value.equals(await get(ref))).toBe(true);
  });
});
