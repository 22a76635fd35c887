import type { BlobId, ObjectId, ProcessId } from '@manta/runtime/ids';
import { describe, expect, it } from 'vitest';
import type { BlobEntry } from './blob-table.ts';
import { storeReport } from './store-report.ts';

const OWNER = 'p_0000000000000001' as ProcessId;
const blobId = (number: number): BlobId => `b_000000000000000${number}` as BlobId;

function blob(number: number, where: 'own' | 'held' | 'disk'): BlobEntry {
  const slot = where === 'disk' ? undefined : { segmentId: 1, offset: 0, generation: number };
  return {
    blobId: blobId(number),
    sizeBytes: number,
    owner: OWNER,
    slot,
    holder: where === 'held' ? OWNER : undefined,
  } as BlobEntry;
}

const nothing = { blobIds: new Set<BlobId>(), objectIds: new Set<ObjectId>(), limit: 0 };
const entries = [blob(1, 'own'), blob(2, 'held'), blob(3, 'disk'), blob(4, 'own'), blob(5, 'disk')];

describe('the report of a store', () => {
  it('counts what is on disk alone, what the agent itself holds, and what is durable', () => {
    const durable = new Map([[blobId(5), 'o_0000000000000005' as ObjectId]]);
    const report = storeReport(entries, durable, { ...nothing, limit: 0 });
    expect(report).toEqual({
      spilled: { count: 2, bytes: 8 },
      copies: { count: 2, bytes: 5 },
      durable: { count: 1, bytes: 5 },
      blobs: [],
    });
  });

  it('says where those lie that are named, and then the largest', () => {
    const named = new Set([blobId(1), blobId(9)]);
    const { blobs } = storeReport(entries, new Map(), { ...nothing, blobIds: named, limit: 2 });
    expect(blobs.map((row) => [row.blobId, row.where, row.ownerId])).toEqual([
      [blobId(1), 'memory', OWNER],
      [blobId(5), 'disk', OWNER],
      [blobId(4), 'memory', OWNER],
    ]);
  });

  it('names the object of a durable blob, and is found by it', () => {
    const objectId = 'o_0000000000000003' as ObjectId;
    const durable = new Map([[blobId(3), objectId]]);
    for (const query of [{ blobIds: new Set([blobId(3)]) }, { objectIds: new Set([objectId]) }]) {
      const { blobs } = storeReport(entries, durable, { ...nothing, ...query });
      expect(blobs).toEqual([
        { blobId: blobId(3), sizeBytes: 3, ownerId: OWNER, where: 'disk', objectId },
      ]);
    }
  });
});
