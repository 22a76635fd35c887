import { slotRecord, type SlotAddress, type SlotRecord } from '../objects/blob.ts';
import type { BlobId } from '../ids.ts';
import type { ProcessStore } from './process-store.ts';

interface ProducedBlob {
  readonly slot: SlotAddress;
  readonly sizeBytes: number;
  lastUsedMs: number;
}

/** What could be moved to disk, as the agent is told. */
export type CandidateRecord = [
  blobId: string,
  slot: SlotRecord,
  sizeBytes: number,
  lastUsedMs: number,
];

/** The blobs that this process has stored and that still lie in its own segments. */
export class ProducedBlobs {
  readonly #store: ProcessStore;
  readonly #blobs = new Map<BlobId, ProducedBlob>();
  #released: SlotAddress[] = [];

  constructor(store: ProcessStore) {
    this.#store = store;
  }

  get size(): number {
    return this.#blobs.size;
  }

  add(blobId: BlobId, slot: SlotAddress, sizeBytes: number, nowMs: number): void {
    this.#blobs.set(blobId, { slot, sizeBytes, lastUsedMs: nowMs });
  }

  has(blobId: BlobId): boolean {
    return this.#blobs.has(blobId);
  }

  used(blobId: BlobId, nowMs: number): void {
    const blob = this.#blobs.get(blobId);
    if (blob !== undefined) blob.lastUsedMs = nowMs;
  }

  /** Gives the slots back, before anything else is written and with others of this turn; those that were here. */
  release(blobIds: readonly BlobId[]): BlobId[] {
    return blobIds.filter((blobId) => {
      const blob = this.#blobs.get(blobId);
      if (blob === undefined) return false;
      this.#blobs.delete(blobId);
      if (this.#released.push(blob.slot) === 1) queueMicrotask(() => this.flush());
      return true;
    });
  }

  /** Who still looks at slots is found by one look at all pins, for many as for one. */
  flush(): void {
    const slots = this.#released;
    if (slots.length === 0) return;
    this.#released = [];
    this.#store.release(slots);
  }

  /** The least recently used that nobody looks at, so that moving them makes room: about so many bytes. */
  candidates(bytes: number): CandidateRecord[] {
    const all = [...this.#blobs];
    const pinned = this.#store.pinned(all.map(([, { slot }]) => slot));
    const free = all
      .filter((_, index) => pinned[index] !== true)
      .sort(([, a], [, b]) => a.lastUsedMs - b.lastUsedMs);
    const records: CandidateRecord[] = [];
    let found = 0;
    for (const [blobId, { slot, sizeBytes, lastUsedMs }] of free) {
      if (found >= bytes) break;
      found += sizeBytes;
      records.push([blobId, slotRecord(slot), sizeBytes, lastUsedMs]);
    }
    return records;
  }
}
