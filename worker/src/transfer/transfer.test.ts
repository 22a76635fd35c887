import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  ObjectLostError,
  ObjectStoreFullError,
  OwnerDiedError,
} from '@manta/runtime/errors/errors';
import type { BlobDescriptor } from '@manta/runtime/objects/blob';
import { MemoryBus } from '@manta/runtime/transport/memory-bus';
import { waitFor } from '@manta/runtime/testing/wait-for';
import { LIMITS } from '@manta/runtime/wire/limits';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { TransferNode, type TransferNodeOptions } from '../testing/transfer-node.ts';

const MiB = 1024 * 1024;
const open: TransferNode[] = [];
const folders: string[] = [];

async function start(options?: TransferNodeOptions): Promise<TransferNode> {
  const node = await TransferNode.start(options);
  open.push(node);
  return node;
}
const startAll = (count: number, options?: TransferNodeOptions): Promise<TransferNode[]> =>
  Promise.all(Array.from({ length: count }, () => start(options)));

afterEach(async () => {
  await Promise.all(open.splice(0).map((node) => node.close()));
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});

const SMALL_CHUNKS = { chunkBytes: 64 * 1024, windowChunks: 4 };
const small = { limits: SMALL_CHUNKS };

async function three(
  options: TransferNodeOptions = { pulls: small },
): Promise<[TransferNode, TransferNode, TransferNode]> {
  return [await start(options), await start(options), await start(options)];
}

const copies = (owner: TransferNode, { blobId }: BlobDescriptor, count: number): Promise<unknown> =>
  waitFor(() => owner.owner.sources.copies(blobId).length === count, {
    describe: `${count} copies`,
  });

/** Somebody else pulls from the first copy, so the next asker is given another one. */
function keepFirstCopyBusy(owner: TransferNode, { blobId }: BlobDescriptor): void {
  owner.owner.sources.source(blobId, owner.processId, undefined, {
    onSource: () => undefined,
    onLost: () => undefined,
  });
}

/** What the node's disk gives is not what was written. */
function spoil(node: TransferNode): void {
  node.onRead = () => {
    throw new ObjectLostError('its copy on disk cannot be read: /spill/spill-1: checksum');
  };
}

/** Resolves when the node is about to serve its nth chunk, which it does once `go` is called. */
function holdAtChunk(node: TransferNode, nth: number): { reached: Promise<void>; go: () => void } {
  let go: () => void = () => undefined;
  const gate = new Promise<void>((resolve) => (go = resolve));
  let chunks = 0;
  const reached = new Promise<void>((resolve) => {
    node.onRead = async (_request, bytes) => {
      chunks += 1;
      if (chunks === nth) {
        resolve();
        await gate;
      }
      return bytes;
    };
  });
  return { reached, go };
}

describe('a blob goes from node to node', () => {
  it('over TCP, whatever its size', async () => {
    const [owner, reader] = (await startAll(2)) as [TransferNode, TransferNode];
    for (const sizeBytes of [1, 100_000, 4 * MiB, 4 * MiB + 1, 33 * MiB + 7]) {
      const bytes = randomBytes(sizeBytes);
      const blob = owner.put(bytes);
      expect(bytes.equals(await reader.get(blob, owner.address))).toBe(true);
      await copies(owner, blob, 2);
    }
    expect(reader.pulls.statistics()).toMatchObject({
      running: 0,
      bytesInFlight: 0,
      pulledBlobs: 5,
      failedPulls: 0,
    });
  });

  it('over a Unix socket when both are on one machine', async () => {
    const socketDirectory = mkdtempSync(join(tmpdir(), 'manta-transfer-'));
    folders.push(socketDirectory);
    const one = { listen: { socketDirectory }, machineId: 'one' };
    const [owner, reader] = (await startAll(2, one)) as [TransferNode, TransferNode];
    const bytes = randomBytes(9 * MiB);
    expect(bytes.equals(await reader.get(owner.put(bytes), owner.address))).toBe(true);
  });

  it('over the message bus when there is no other way', async () => {
    const bus = new MemoryBus();
    const transports = ['owner', 'reader'].map((name) => bus.connect({ name }));
    const nodes = await Promise.all(
      transports.map(async (transport) => {
        const node = await start({ listen: {}, transport });
        await node.listenOnBus(transport);
        return node;
      }),
    );
    const [owner, reader] = nodes as [TransferNode, TransferNode];
    const bytes = randomBytes(9 * MiB);
    expect(bytes.equals(await reader.get(owner.put(bytes), owner.address))).toBe(true);
  });

  it('once for all who want it on a node', async () => {
    const [owner, reader] = (await startAll(2)) as [TransferNode, TransferNode];
    const blob = owner.put(randomBytes(2 * MiB));
    const slots = await Promise.all(
      Array.from({ length: 20 }, () => reader.pulls.pull(blob, owner.address)),
    );
    expect(new Set(slots).size).toBe(1);
    expect(reader.pulls.statistics()).toMatchObject({ pulledBlobs: 1, sharedPulls: 19 });
    expect(owner.server.statistics().servedBytes).toBe(2 * MiB);
  });

  it('to many nodes as a tree: no node serves more than its share', async () => {
    const nodes = await startAll(13, { pulls: small });
    const [owner, ...readers] = nodes as [TransferNode, ...TransferNode[]];
    const bytes = randomBytes(2 * MiB);
    const blob = owner.put(bytes);
    const got = await Promise.all(readers.map((reader) => reader.get(blob, owner.address)));
    for (const value of got) expect(bytes.equals(value)).toBe(true);
    await copies(owner, blob, nodes.length);
    const pulls = [...owner.owner.sources.pullsBySource(blob.blobId).values()];
    expect(pulls.reduce((sum, count) => sum + count, 0)).toBe(readers.length);
    expect(pulls.length).toBeGreaterThan(3);
    expect(owner.server.statistics().servedBytes).toBeLessThanOrEqual(6 * blob.sizeBytes);
  });
});

describe('a pull goes on', () => {
  it('from another copy, at the chunks that are missing, when its source is gone', async () => {
    const [owner, source, reader] = await three();
    const bytes = randomBytes(2 * MiB);
    const blob = owner.put(bytes);
    await source.get(blob, owner.address);
    await copies(owner, blob, 2);
    const before = owner.server.statistics().servedChunks;
    keepFirstCopyBusy(owner, blob);
    const { reached } = holdAtChunk(source, 20);
    const value = reader.get(blob, owner.address);
    await reached;
    await source.close();
    expect(bytes.equals(await value)).toBe(true);
    // Of 32 chunks 19 were served by the source that ended; the last of them may have been under way.
    expect(owner.server.statistics().servedChunks - before).toBeGreaterThanOrEqual(13);
    expect(owner.server.statistics().servedChunks - before).toBeLessThan(24);
    expect(owner.owner.sources.copies(blob.blobId)).not.toContainEqual(source.address);
  });

  it('from another copy when the source has it no more', async () => {
    const [owner, source, reader] = await three();
    const bytes = randomBytes(MiB);
    const blob = owner.put(bytes);
    await source.get(blob, owner.address);
    await copies(owner, blob, 2);
    owner.slots.delete(blob.blobId);
    expect(bytes.equals(await reader.get(blob, owner.address))).toBe(true);
    expect(owner.owner.sources.copies(blob.blobId)).not.toContainEqual(owner.address);
  });

  it('from another copy when the source has only a spoiled one', async () => {
    const [owner, source, reader] = await three();
    const bytes = randomBytes(MiB);
    const blob = owner.put(bytes);
    await source.get(blob, owner.address);
    await copies(owner, blob, 2);
    spoil(owner);
    expect(bytes.equals(await reader.get(blob, owner.address))).toBe(true);
    expect(owner.owner.sources.copies(blob.blobId)).not.toContainEqual(owner.address);
  });

  it('from another copy when the node of its silent source is said to be dead', async () => {
    const [owner, source, reader] = await three();
    const bytes = randomBytes(2 * MiB);
    const blob = owner.put(bytes);
    await source.get(blob, owner.address);
    await copies(owner, blob, 2);
    keepFirstCopyBusy(owner, blob);
    const { reached, go } = holdAtChunk(source, 20);
    const value = reader.get(blob, owner.address);
    await reached;
    reader.connections.nodeDied(source.nodeId);
    owner.connections.nodeDied(source.nodeId);
    owner.owner.sources.nodeDied(source.nodeId);
    expect(bytes.equals(await value)).toBe(true);
    go();
    await expect(reader.connections.connect(source.address)).rejects.toThrow(/is dead/);
  });

  it('when chunks come corrupt: they are pulled anew', async () => {
    const [owner, reader] = await three();
    const bytes = randomBytes(MiB);
    const blob = owner.put(bytes);
    owner.corruptChunks.add(3).add(7);
    expect(bytes.equals(await reader.get(blob, owner.address))).toBe(true);
    expect(reader.pulls.statistics()).toMatchObject({ corruptChunks: 2, pulledBlobs: 1 });
  });

  it('when a source is silent: the owner finds that it lives, and names it again', async () => {
    const [owner, reader] = await three({
      pulls: { limits: { ...SMALL_CHUNKS, stallTimeoutMs: 100 } },
    });
    const bytes = randomBytes(MiB);
    const blob = owner.put(bytes);
    const { go } = holdAtChunk(owner, 5);
    const value = reader.get(blob, owner.address);
    const grants = () => owner.owner.sources.pullsBySource(blob.blobId).get(owner.nodeId) ?? 0;
    await waitFor(() => grants() >= 2, { describe: 'the source named again' });
    go();
    expect(bytes.equals(await value)).toBe(true);
  });
});

describe('a pull ends', () => {
  it('with ObjectLostError when its source is gone and there is no other', async () => {
    const [owner, source, reader] = await three();
    const blob = source.put(randomBytes(2 * MiB), owner);
    const { reached } = holdAtChunk(source, 10);
    const value = reader.pulls.pull(blob, owner.address);
    const failure = value.catch((error: unknown) => error);
    await reached;
    await source.close();
    expect(await failure).toBeInstanceOf(ObjectLostError);
    expect(owner.lost).toEqual([blob.blobId]);
    expect(reader.store.usedBytes).toBe(0);
    expect(reader.pulls.statistics()).toMatchObject({ bytesInFlight: 0, failedPulls: 1 });
  });

  it('with ObjectLostError when the only copy is spoiled, and its owner knows what the source said', async () => {
    const [owner, source, reader] = await three();
    const blob = source.put(randomBytes(MiB), owner);
    spoil(source);
    await expect(reader.pulls.pull(blob, owner.address)).rejects.toBeInstanceOf(ObjectLostError);
    expect(owner.lost).toEqual([blob.blobId]);
    expect(owner.lossReasons[0]).toContain(`node ${source.nodeId} has it no more`);
    expect(owner.lossReasons[0]).toContain('/spill/spill-1');
    expect(reader.store.usedBytes).toBe(0);
  });

  it('with what its own node says of the copy that was there', async () => {
    const [owner, reader] = await three();
    const blob = owner.put(randomBytes(MiB));
    await reader.get(blob, owner.address);
    await copies(owner, blob, 2);
    owner.owner.sources.missing(blob.blobId, owner.nodeId);
    const again = reader.pulls.pull(blob, owner.address, 'its copy on disk is spoiled');
    await expect(again).rejects.toThrow(/its copy on disk is spoiled/);
  });

  it('with OwnerDiedError when its owner is gone, though the source could go on', async () => {
    const [owner, source, reader] = await three();
    const blob = source.put(randomBytes(2 * MiB), owner);
    const { reached, go } = holdAtChunk(source, 10);
    const failure = reader.pulls.pull(blob, owner.address).catch((error: unknown) => error);
    await reached;
    await owner.close();
    expect(await failure).toBeInstanceOf(OwnerDiedError);
    go();
    expect(reader.store.usedBytes).toBe(0);
  });

  it('with ObjectLostError when the owner has freed the object', async () => {
    const [owner, reader] = await three();
    const blob = owner.put(randomBytes(MiB));
    owner.owner.sources.remove(blob.blobId);
    await expect(reader.pulls.pull(blob, owner.address)).rejects.toBeInstanceOf(ObjectLostError);
  });

  it('well, though the object is freed meanwhile: the node is told to drop its copy', async () => {
    const [owner, reader] = await three();
    const blob = owner.put(randomBytes(MiB));
    const { reached, go } = holdAtChunk(owner, 10);
    const value = reader.pulls.pull(blob, owner.address);
    await reached;
    owner.owner.sources.remove(blob.blobId);
    go();
    await value;
    await waitFor(() => reader.released.includes(blob.blobId), { describe: 'the release' });
  });
});

describe('room', () => {
  it('is made for a pull, which waits for it', async () => {
    const makeRoom = vi.fn(() => {
      reader.store.limitBytes = 10 * MiB;
      return Promise.resolve();
    });
    const owner = await start();
    const reader = await start({ pulls: { makeRoom } });
    reader.store.limitBytes = MiB;
    const bytes = randomBytes(3 * MiB);
    expect(bytes.equals(await reader.get(owner.put(bytes), owner.address))).toBe(true);
    expect(makeRoom.mock.calls).toEqual([[3 * MiB]]);
  });

  it('that cannot be made fails the pull, and the next one goes on', async () => {
    const full = new ObjectStoreFullError('full');
    const owner = await start();
    const reader = await start({ pulls: { makeRoom: () => Promise.reject(full) } });
    reader.store.limitBytes = 2 * MiB;
    const large = reader.pulls.pull(owner.put(randomBytes(3 * MiB)), owner.address);
    const bytes = randomBytes(MiB);
    const next = reader.get(owner.put(bytes), owner.address);
    await expect(large).rejects.toBe(full);
    expect(bytes.equals(await next)).toBe(true);
  });

  it('at the source is never exceeded by the requests for many small values', async () => {
    const [owner, reader] = (await startAll(2)) as [TransferNode, TransferNode];
    let most = 0;
    owner.onRead = (_request, bytes) => {
      most = Math.max(most, owner.server.statistics().waitingRequests);
      return bytes;
    };
    const blobs = Array.from({ length: 1_500 }, () => owner.put(new Uint8Array(1_000)));
    await Promise.all(blobs.map((blob) => reader.pulls.pull(blob, owner.address)));
    expect(reader.pulls.statistics()).toMatchObject({ pulledBlobs: 1_500, bytesInFlight: 0 });
    expect(most).toBeLessThan(LIMITS.blobRequests);
    expect(owner.server.statistics().servedChunks).toBe(1_500);
  });

  it('on the wire is bounded over all pulls', async () => {
    const owner = await start();
    const reader = await start({
      pulls: { limits: SMALL_CHUNKS, bytesInFlight: 3 * SMALL_CHUNKS.chunkBytes },
    });
    let most = 0;
    owner.onRead = (_request, bytes) => {
      most = Math.max(most, reader.pulls.statistics().bytesInFlight);
      return bytes;
    };
    const values = Array.from({ length: 10 }, () => randomBytes(MiB));
    const got = await Promise.all(
      values.map((bytes) => reader.get(owner.put(bytes), owner.address)),
    );
    got.forEach((value, index) => expect(values[index]?.equals(value)).toBe(true));
    expect(most).toBe(3 * SMALL_CHUNKS.chunkBytes);
  });
});
