import type { BlobId, ProcessId } from '../ids.ts';
import type { BlobDescriptor } from '../objects/blob.ts';
import { blobLost, type BlobOwner } from '../objects/blob-owner.ts';
import { pullBlob } from '../objects/blob-pull.ts';
import { ByteBudget } from '../objects/byte-budget.ts';
import { RemotePullOwner, type Connect, type PullOwner } from '../objects/pull-owner.ts';
import type { StoredValue } from '../objects/stored-value.ts';
import type { Clock } from '../time/clock.ts';

interface HeapPullsOptions {
  processId: ProcessId;
  clock: Clock;
  connect: Connect;
  /** What this process owns itself. */
  own: BlobOwner;
}

/** Bytes asked for that have not come. */
const UNDER_WAY_BYTES_MAX = 64 * 1024 * 1024;

/**
 * Stored values on their way into the heap of a process that has no store: a driver on a machine without a node, or one
 * whose node has died.
 */
export class HeapPulls {
  readonly #options: HeapPullsOptions;
  readonly #budget = new ByteBudget(UNDER_WAY_BYTES_MAX);
  readonly #pulls = new Map<BlobId, Promise<Uint8Array>>();

  constructor(options: HeapPullsOptions) {
    this.#options = options;
  }

  /** Two wishes for one blob are one pull. @throws ObjectLostError, OwnerDiedError */
  pull({ blob, owner }: StoredValue): Promise<Uint8Array> {
    const { blobId } = blob;
    let pull = this.#pulls.get(blobId);
    if (pull === undefined) {
      const { connect } = this.#options;
      const from =
        owner === undefined
          ? this.#ownBlob(blobId)
          : new RemotePullOwner(connect, owner, blobId, undefined);
      pull = this.#fill(blob, from).finally(() => this.#pulls.delete(blobId));
      this.#pulls.set(blobId, pull);
    }
    return pull;
  }

  async #fill(blob: BlobDescriptor, owner: PullOwner): Promise<Uint8Array> {
    const { clock, connect } = this.#options;
    const bytes = new Uint8Array(blob.sizeBytes);
    const sink = {
      write: (offset: number, piece: Uint8Array): void => bytes.set(piece, offset),
    };
    try {
      await pullBlob({ blob, owner, sink, budget: this.#budget, clock, connect });
    } finally {
      owner.ended(undefined);
    }
    return bytes;
  }

  #ownBlob(blobId: BlobId): PullOwner {
    const { own, processId } = this.#options;
    return {
      source: (answers) =>
        own.sources.source(blobId, processId, undefined, {
          onSource: (agent) => answers.onSource(agent),
          onLost: (reason) => answers.onRefused(blobLost(blobId, reason)),
        }),
      failed: (nodeId, failure, reason) =>
        own.failed(blobId, processId, { nodeId, failure, reason }),
      ended: () => own.sources.ended(blobId, processId),
    };
  }
}
