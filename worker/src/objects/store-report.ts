import type { BlobId, ObjectId, ProcessId } from '@manta/runtime/ids';
import type { BlobRow, NodeStoreReport } from '@manta/runtime/wire/object-messages';
import type { BlobEntry } from './blob-table.ts';

export interface StoreQuery {
  /** Where these lie, as far as they are here. */
  readonly blobIds: ReadonlySet<BlobId>;
  /** The same of durable objects. */
  readonly objectIds: ReadonlySet<ObjectId>;
  /** Beside those, the largest blobs, at most so many. */
  readonly limit: number;
}

/** What the store holds beyond its bare sizes, and where single blobs lie. */
export type StoreReport = Pick<NodeStoreReport, 'spilled' | 'copies' | 'durable'> & {
  blobs: BlobRow[];
};

/** `durable`: the objects that the agent itself owns. Pure. */
export function storeReport(
  entries: Iterable<BlobEntry>,
  durable: ReadonlyMap<BlobId, ObjectId>,
  { blobIds, objectIds, limit }: StoreQuery,
): StoreReport {
  const report = { spilled: nothing(), copies: nothing(), durable: nothing() };
  const named: BlobEntry[] = [];
  const others: BlobEntry[] = [];
  for (const entry of entries) {
    const { blobId, sizeBytes, slot, holder } = entry;
    if (slot === undefined) add(report.spilled, sizeBytes);
    else if (holder === undefined) add(report.copies, sizeBytes);
    const objectId = durable.get(blobId);
    if (objectId !== undefined) add(report.durable, sizeBytes);
    const isNamed = blobIds.has(blobId) || (objectId !== undefined && objectIds.has(objectId));
    (isNamed ? named : others).push(entry);
  }
  const largest = others.sort((a, b) => b.sizeBytes - a.sizeBytes).slice(0, limit);
  return { ...report, blobs: [...named, ...largest].map((entry) => rowOf(entry, durable)) };
}

function rowOf(
  { blobId, sizeBytes, owner, slot }: BlobEntry,
  durable: ReadonlyMap<BlobId, ObjectId>,
): BlobRow {
  const objectId = durable.get(blobId);
  const ownerId: ProcessId = owner;
  const where = slot === undefined ? 'disk' : 'memory';
  return { blobId, sizeBytes, ownerId, where, ...(objectId === undefined ? {} : { objectId }) };
}

const nothing = (): { count: number; bytes: number } => ({ count: 0, bytes: 0 });

function add(sum: { count: number; bytes: number }, bytes: number): void {
  sum.count += 1;
  sum.bytes += bytes;
}
