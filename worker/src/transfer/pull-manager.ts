import { assert } from '@manta/runtime/assert';
import { ObjectStoreFullError } from '@manta/runtime/errors/errors';
import type { BlobId } from '@manta/runtime/ids';
import type { BlobDescriptor, SlotAddress } from '@manta/runtime/objects/blob';
import { pullBlob, type BlobSink, type PullLimits } from '@manta/runtime/objects/blob-pull';
import { ByteBudget } from '@manta/runtime/objects/byte-budget';
import { RemotePullOwner, type Connect } from '@manta/runtime/objects/pull-owner';
import type { Clock } from '@manta/runtime/time/clock';
import type { ProcessAddress } from '@manta/runtime/wire/messages';

/** Where pulled blobs are put: the node's store. */
export interface PullStore {
  /** Undefined: no room now. */
  reserve(sizeBytes: number): ({ readonly slot: SlotAddress } & BlobSink) | undefined;
  /** A slot that was reserved for a pull that failed. */
  release(slots: readonly SlotAddress[]): void;
}

export interface PullManagerOptions {
  store: PullStore;
  /** Resolves when there may be room for so many bytes. @throws ObjectStoreFullError there will be none. */
  makeRoom: (sizeBytes: number) => Promise<void>;
  /** This agent as others reach it, with its node's id. */
  agent: () => ProcessAddress;
  connect: Connect;
  clock: Clock;
  /** A blob has come: it can be served to others from now on. Called before its owner hears of it. */
  onPulled?: (blob: BlobDescriptor, slot: SlotAddress, owner: ProcessAddress) => void;
  limits?: Partial<PullLimits>;
  /** Bytes that all pulls together have asked for and not got. Default 128 MiB. */
  bytesInFlight?: number;
}

export interface PullStatistics {
  running: number;
  /** Of those running: without a place in the store yet. */
  waitingForRoom: number;
  bytesInFlight: number;
  pulledBlobs: number;
  /** Wishes that were answered by a pull that was under way already. */
  sharedPulls: number;
  failedPulls: number;
  receivedBytes: number;
  corruptChunks: number;
}

const BYTES_IN_FLIGHT = 128 * 1024 * 1024;
/** Room that was made may go to a process that was quicker. */
const ROOM_ATTEMPTS = 8;

/** Brings blobs of other nodes into this node's store; one pull for all who want the same. */
export class PullManager {
  readonly #options: PullManagerOptions;
  readonly #pulls = new Map<BlobId, Promise<SlotAddress>>();
  readonly #budget: ByteBudget;
  /** Pulls get their places one after the other: a large one is not overtaken for ever by small ones. */
  #admission: Promise<void> = Promise.resolve();
  readonly #counters = {
    waitingForRoom: 0,
    pulledBlobs: 0,
    sharedPulls: 0,
    failedPulls: 0,
    receivedBytes: 0,
    corruptChunks: 0,
  };

  constructor(options: PullManagerOptions) {
    this.#options = options;
    this.#budget = new ByteBudget(options.bytesInFlight ?? BYTES_IN_FLIGHT);
  }

  statistics(): PullStatistics {
    return {
      running: this.#pulls.size,
      bytesInFlight: this.#budget.usedBytes,
      ...this.#counters,
    };
  }

  /**
   * `reason`: why what this node had of it is gone, for its owner.
   * @throws ObjectLostError no copy is left. OwnerDiedError the owner is gone, also during the pull.
   * ObjectStoreFullError there is no room for it.
   */
  pull(blob: BlobDescriptor, owner: ProcessAddress, reason?: string): Promise<SlotAddress> {
    const running = this.#pulls.get(blob.blobId);
    if (running !== undefined) {
      this.#counters.sharedPulls += 1;
      return running;
    }
    const pull = this.#pull(blob, owner, reason).finally(() => this.#pulls.delete(blob.blobId));
    this.#pulls.set(blob.blobId, pull);
    return pull;
  }

  async #pull(
    blob: BlobDescriptor,
    address: ProcessAddress,
    reason: string | undefined,
  ): Promise<SlotAddress> {
    const { connect, agent, onPulled } = this.#options;
    try {
      const place = await this.#admit(blob.sizeBytes);
      const { nodeId } = agent();
      assert(nodeId !== undefined, 'an agent that pulls has a node');
      const owner = new RemotePullOwner(connect, address, blob.blobId, { nodeId, reason });
      await this.#fill(blob, owner, place);
      onPulled?.(blob, place.slot, address);
      owner.ended(agent());
      this.#counters.pulledBlobs += 1;
      return place.slot;
    } catch (error) {
      this.#counters.failedPulls += 1;
      throw error;
    }
  }

  async #fill(
    blob: BlobDescriptor,
    owner: RemotePullOwner,
    place: { slot: SlotAddress } & BlobSink,
  ): Promise<void> {
    const { connect, clock, store, limits = {} } = this.#options;
    try {
      await pullBlob({
        blob,
        owner,
        sink: place,
        budget: this.#budget,
        clock,
        connect,
        limits,
        onChunk: (bytes, isSound) => {
          this.#counters.receivedBytes += bytes;
          if (!isSound) this.#counters.corruptChunks += 1;
        },
      });
    } catch (error) {
      store.release([place.slot]);
      owner.ended(undefined);
      throw error;
    }
  }

  async #admit(sizeBytes: number): Promise<{ slot: SlotAddress } & BlobSink> {
    const before = this.#admission;
    let admitted: () => void = () => undefined;
    this.#admission = new Promise((resolve) => (admitted = resolve));
    this.#counters.waitingForRoom += 1;
    try {
      await before;
      return await this.#reserve(sizeBytes);
    } finally {
      this.#counters.waitingForRoom -= 1;
      admitted();
    }
  }

  async #reserve(sizeBytes: number): Promise<{ slot: SlotAddress } & BlobSink> {
    const { store, makeRoom } = this.#options;
    for (let attempt = 0; attempt < ROOM_ATTEMPTS; attempt += 1) {
      const place = store.reserve(sizeBytes);
      if (place !== undefined) return place;
      await makeRoom(sizeBytes);
    }
    throw new ObjectStoreFullError(
      `The node's store has no room for ${sizeBytes} bytes of another node: what was freed was taken by others.`,
    );
  }
}
