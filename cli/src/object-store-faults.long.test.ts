import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { addressWithToken } from '@manta/runtime/session/address';
import { waitFor } from '@manta/runtime/testing/wait-for';
import { get, init, MantaError, put, shutdown, type ObjectRef } from '@manta/sdk';
import { ClusterProcess } from '@manta/sdk/internal/cluster-process';
import { FailingSpillStorage } from '@manta/worker/testing/failing-spill-storage';
import { afterEach, describe, expect, it } from 'vitest';
import { MIB, placesOf, startStoreCluster, type StoreCluster } from './testing/store-cluster.ts';

let cluster: StoreCluster | undefined;
let root: string | undefined;

afterEach(async () => {
  await shutdown();
  const left = await cluster?.close();
  cluster = undefined;
  if (root !== undefined) rmSync(root, { recursive: true, force: true });
  root = undefined;
  if (left !== undefined && left.length > 0) throw new Error(`left: ${left.join()}`);
});

async function open(storage: FailingSpillStorage, objectStoreBytes: number): Promise<void> {
  cluster = await startStoreCluster({ objectStoreBytes, spillStorage: storage });
  await init({ address: cluster.address, logToDriver: false });
}

async function isEqual(ref: ObjectRef<Buffer>, value: Buffer): Promise<boolean> {
  return value.equals(await get(ref));
}

describe('a disk that fails half of the time', () => {
  it('gives right answers', async () => {
    const storage = new FailingSpillStorage({ share: 0.5 });
    await open(storage, 32 * MIB);
    const values = Array.from({ length: 24 }, (_, index) => randomBytes((2 + (index % 5)) * MIB));
    const refs = values.map((value) => put(value));
    for (const round of [1, 2])
      for (const [index, ref] of refs.entries())
        expect(await isEqual(ref, values[index] as Buffer), `${round}/${index}`).toBe(true);
    expect(storage.failures).toBeGreaterThan(10);
  });
});

describe('a full disk', () => {
  it('is said in a typed error, loses nothing, and the store goes on when there is room again', async () => {
    const storage = new FailingSpillStorage({ full: () => true });
    await open(storage, 24 * MIB);
    const kept: [ObjectRef<Buffer>, Buffer][] = [];
    let refusal: unknown;
    while (refusal === undefined) {
      const value = randomBytes(4 * MIB);
      const ref = put(value);
      try {
        expect(await isEqual(ref, value)).toBe(true);
        kept.push([ref, value]);
      } catch (error) {
        refusal = error;
      }
    }
    expect(MantaError.is(refusal, 'ObjectStoreFullError')).toBe(true);
    expect((refusal as Error).message).toMatch(/ENOSPC.*Drop refs/s);
    expect(kept.length).toBeGreaterThanOrEqual(3);
    storage.full = () => false;
    for (let more = 0; more < 6; more += 1) {
      const value = randomBytes(4 * MIB);
      kept.push([put(value), value]);
    }
    for (const [ref, value] of kept) expect(await isEqual(ref, value)).toBe(true);
  });
});

describe('of a store', () => {
  const startCluster = async (): Promise<{ node: ClusterProcess; places: string[] }> => {
    root = mkdtempSync(join(tmpdir(), 'manta-store-'));
    const spill = join(root, 'spill');
    const token = randomBytes(16).toString('hex');
    const node = await ClusterProcess.start({
      directory: join(root, 'cluster'),
      token,
      head: {},
      node: { cpus: 2, poolSize: 1, objectStoreBytes: 16 * MIB, spillDirectories: [spill] },
    });
    const { url, nodeId } = node.ready;
    await init({ address: addressWithToken(url ?? '', token), logToDriver: false });
    const places = placesOf(nodeId ?? '', [spill]);
    const refs = Array.from({ length: 8 }, () => put(randomBytes(4 * MIB)));
    await Promise.all(refs.map((ref) => get(ref).then(({ length }) => length)));
    for (const place of places) expect(readdirSync(place).length, place).toBeGreaterThan(1);
    return { node, places };
  };

  it('nothing is left when its node ends', async () => {
    const { node, places } = await startCluster();
    await shutdown();
    await node.close();
    expect(places.filter((place) => existsSync(place))).toEqual([]);
  });

  it('nothing is left when its node is killed', async () => {
    const { node, places } = await startCluster();
    await node.kill('SIGKILL');
    await waitFor(() => places.every((place) => !existsSync(place)), {
      timeoutMs: 10_000,
      describe: 'the store is removed',
    });
  });

  it('what dead nodes left is removed by the next that starts', async () => {
    root = mkdtempSync(join(tmpdir(), 'manta-store-'));
    const dead = placesOf('n_0000000000000000', [join(root, 'spill')]);
    for (const place of dead) {
      mkdirSync(place, { recursive: true, mode: 0o700 });
      const owner = { pid: 1, startTime: '1', machine: 'another boot/0' };
      writeFileSync(join(place, 'owner.json'), JSON.stringify(owner));
    }
    cluster = await startStoreCluster({ spillDirectories: [join(root, 'spill')] });
    expect(dead.filter((place) => existsSync(place))).toEqual([]);
  });
});
