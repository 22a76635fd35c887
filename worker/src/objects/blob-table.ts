import type { BlobId, ProcessId } from '@manta/runtime/ids';
import type { SlotAddress } from '@manta/runtime/objects/blob';
import type { ProcessAddress } from '@manta/runtime/wire/messages';
import type { SpillLocation } from './spill-files.ts';

/**
 * One blob that this node's agent answers for. Pure.
 *
 * ```
 *                  (1) kept by a process for another owner        (2) pulled or restored by the agent
 *                ∅ ─────────────────────────────────────▶ in memory ◀──────────────────────────── ∅
 *                                                          │   ▲
 *                (3) written to disk, slot closed          │   │ (4) restored; the copy on disk stays good
 *                                                          ▼   │
 *                                                        on disk
 *   from each: (5) released by its owner, or the owner died ──▶ ∅   (6) its holder died ──▶ the agent holds the slot
 * ```
 * What a process stored for itself gets here only by (3): until then the agent has no part in it.
 */
export interface BlobEntry {
  readonly blobId: BlobId;
  readonly sizeBytes: number;
  /** Who decides when it is freed. */
  readonly owner: ProcessId;
  /** Undefined: the process that stored it. */
  readonly ownerAddress: ProcessAddress | undefined;
  slot: SlotAddress | undefined;
  /** Pulled from another node, which may have it yet. */
  readonly isCopy: boolean;
  /** In whose segments the slot is; undefined: in the agent's (its own, and adopted ones). */
  holder: ProcessId | undefined;
  spilled: SpillLocation | undefined;
  lastUsedMs: number;
}

/** What must be done when blobs leave the table. */
export interface Freed {
  /** Slots in the agent's segments. */
  slots: SlotAddress[];
  spilled: SpillLocation[];
  /** To be told to those who hold the slots. */
  byHolder: Map<ProcessId, BlobId[]>;
  /** Owners of whom nothing is left here. */
  owners: ProcessId[];
}

export class BlobTable {
  readonly #blobs = new Map<BlobId, BlobEntry>();
  readonly #byOwner = new Map<ProcessId, Set<BlobId>>();
  readonly #byHolder = new Map<ProcessId, Set<BlobId>>();

  get size(): number {
    return this.#blobs.size;
  }

  get(blobId: BlobId): BlobEntry | undefined {
    return this.#blobs.get(blobId);
  }

  entries(): IterableIterator<BlobEntry> {
    return this.#blobs.values();
  }

  /** Of an owner that something is kept for which it did not store itself. */
  addressOf(owner: ProcessId): ProcessAddress | undefined {
    for (const blobId of this.#byOwner.get(owner) ?? []) {
      const address = this.#blobs.get(blobId)?.ownerAddress;
      if (address !== undefined) return address;
    }
    return undefined;
  }

  /** (1), (2) and the beginning of (3). A blob that is known keeps its entry, and is in memory there now. */
  add(entry: BlobEntry): BlobEntry {
    const known = this.#blobs.get(entry.blobId);
    if (known !== undefined) {
      if (known.slot === undefined) this.place(known, entry.slot, entry.holder);
      return known;
    }
    this.#blobs.set(entry.blobId, entry);
    include(this.#byOwner, entry.owner, entry.blobId);
    if (entry.holder !== undefined) include(this.#byHolder, entry.holder, entry.blobId);
    return entry;
  }

  /** (3) and (4): where its slot is now, if anywhere. */
  place(entry: BlobEntry, slot: SlotAddress | undefined, holder: ProcessId | undefined): void {
    if (entry.holder !== undefined) exclude(this.#byHolder, entry.holder, entry.blobId);
    entry.slot = slot;
    entry.holder = holder;
    if (holder !== undefined) include(this.#byHolder, holder, entry.blobId);
  }

  /** (5). Gives also those that are not known here. */
  release(blobIds: readonly BlobId[]): Freed & { unknown: BlobId[] } {
    const freed: Freed & { unknown: BlobId[] } = { ...nothingFreed(), unknown: [] };
    for (const blobId of blobIds) {
      const entry = this.#blobs.get(blobId);
      if (entry === undefined) freed.unknown.push(blobId);
      else this.#remove(entry, freed);
    }
    return freed;
  }

  /** (5). */
  ownerDied(owner: ProcessId): Freed {
    return this.release([...(this.#byOwner.get(owner) ?? [])]);
  }

  /**
   * (6), after `ownerDied` of the same process: the slots in its segments that must stay, because other processes own
   * what is there. From now on they count as the agent's.
   */
  holderDied(holder: ProcessId): SlotAddress[] {
    const slots: SlotAddress[] = [];
    for (const blobId of this.#byHolder.get(holder) ?? []) {
      const entry = this.#blobs.get(blobId);
      if (entry?.slot === undefined) continue;
      entry.holder = undefined;
      slots.push(entry.slot);
    }
    this.#byHolder.delete(holder);
    return slots;
  }

  #remove(entry: BlobEntry, freed: Freed): void {
    const { blobId, slot, holder, spilled, owner } = entry;
    this.#blobs.delete(blobId);
    if (exclude(this.#byOwner, owner, blobId)) freed.owners.push(owner);
    if (holder !== undefined) exclude(this.#byHolder, holder, blobId);
    if (spilled !== undefined) freed.spilled.push(spilled);
    if (slot === undefined) return;
    if (holder === undefined) freed.slots.push(slot);
    else listFor(freed.byHolder, holder).push(blobId);
  }
}

function nothingFreed(): Freed {
  return { slots: [], spilled: [], byHolder: new Map(), owners: [] };
}

function listFor(lists: Map<ProcessId, BlobId[]>, key: ProcessId): BlobId[] {
  let list = lists.get(key);
  if (list === undefined) lists.set(key, (list = []));
  return list;
}

function include(index: Map<ProcessId, Set<BlobId>>, key: ProcessId, blobId: BlobId): void {
  const known = index.get(key);
  if (known === undefined) index.set(key, new Set([blobId]));
  else known.add(blobId);
}

/** True when it was the last of its key. */
function exclude(index: Map<ProcessId, Set<BlobId>>, key: ProcessId, blobId: BlobId): boolean {
  const known = index.get(key);
  if (known?.delete(blobId) !== true || known.size > 0) return false;
  index.delete(key);
  return true;
}
