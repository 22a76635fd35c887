import { ObjectFreedError, ObjectLostError } from '@manta/runtime/errors/errors';
import type { BlobId } from '@manta/runtime/ids';
import type { SlotAddress } from '@manta/runtime/objects/blob';
import type { Clock } from '@manta/runtime/time/clock';
import type { AgentLogger } from '../agent/agent-logger.ts';
import type { BlobEntry, BlobTable, Freed } from './blob-table.ts';
import type { RoomMaker } from './room-maker.ts';
import { SpillFailedError } from './spill-errors.ts';
import type { SpillFiles } from './spill-files.ts';
import type { StoreMemory } from './store-memory.ts';

export interface DiskCopiesOptions {
  clock: Clock;
  logger: AgentLogger;
  memory: StoreMemory;
  table: BlobTable;
  files: SpillFiles;
  room: RoomMaker;
  readonly free: (freed: Freed) => void;
}

/** What is on disk, as others read it: back in memory for this node, in parts for other nodes. */
export class DiskCopies {
  readonly #options: DiskCopiesOptions;
  readonly #restoring = new Map<BlobId, Promise<SlotAddress>>();
  #restoredBytes = 0;

  constructor(options: DiskCopiesOptions) {
    this.#options = options;
  }

  get restoredBytes(): number {
    return this.#restoredBytes;
  }

  /**
   * Where it is in memory now; undefined: it is not on disk.
   * @throws ObjectLostError it cannot be read. ObjectFreedError ObjectStoreFullError
   */
  async restore(entry: BlobEntry): Promise<SlotAddress | undefined> {
    const { blobId } = entry;
    if (entry.spilled === undefined) return undefined;
    let restoring = this.#restoring.get(blobId);
    if (restoring === undefined) {
      restoring = this.#readBack(entry).finally(() => this.#restoring.delete(blobId));
      this.#restoring.set(blobId, restoring);
    }
    try {
      return await restoring;
    } catch (error) {
      throw this.#lost(entry, error);
    }
  }

  /** Fills `target`; false: it is not on disk. @throws ObjectLostError it cannot be read. */
  async read(entry: BlobEntry, offset: number, target: Uint8Array): Promise<boolean> {
    if (entry.spilled === undefined) return false;
    try {
      await this.#options.files.readPart(entry.spilled, offset, target);
      return true;
    } catch (error) {
      throw this.#lost(entry, error);
    }
  }

  async #readBack(entry: BlobEntry): Promise<SlotAddress> {
    const { memory, clock, files, room, table } = this.#options;
    const place = await room.reserve(entry.sizeBytes);
    try {
      if (entry.spilled === undefined) throw new SpillFailedError([]);
      await files.read(entry.spilled, (offset, bytes) => place.write(offset, bytes));
      this.#refuseFreed(entry);
    } catch (error) {
      memory.release([place.slot]);
      this.#refuseFreed(entry);
      throw error;
    }
    table.place(entry, place.slot, undefined);
    entry.lastUsedMs = clock.now();
    this.#restoredBytes += entry.sizeBytes;
    return place.slot;
  }

  #refuseFreed(entry: BlobEntry): void {
    if (this.#options.table.get(entry.blobId) !== entry)
      throw new ObjectFreedError(`Blob ${entry.blobId} was freed while it came back from disk.`);
  }

  /** What the disk has spoiled is no copy any more. */
  #lost(entry: BlobEntry, error: unknown): unknown {
    if (!(error instanceof SpillFailedError)) return error;
    const { logger, table, free } = this.#options;
    const { blobId } = entry;
    logger.error({ blobId, error: error.message }, 'cannot read an object back');
    if (error.damaged && table.get(blobId) === entry) free(table.release([blobId]));
    return new ObjectLostError(`its copy on disk cannot be read: ${error.message}`, {
      cause: error,
    });
  }
}
