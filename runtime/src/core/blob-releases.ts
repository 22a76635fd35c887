import type { BlobId, ProcessId } from '../ids.ts';
import type { Connect } from '../objects/pull-owner.ts';
import { tell } from '../rpc/ask.ts';
import { RECORD } from '../rpc/records.ts';
import type { Clock } from '../time/clock.ts';
import type { ProcessAddress } from '../wire/messages.ts';

const RELEASE_DELAY_MS = 5;

/**
 * Tells agents of blobs that are not needed any more: those of a few milliseconds in one record, which goes again when its
 * connection breaks.
 */
export class BlobReleases {
  readonly #clock: Clock;
  readonly #connect: Connect;
  readonly #batches = new Map<ProcessId, { agent: ProcessAddress; blobIds: Set<BlobId> }>();

  constructor(clock: Clock, connect: Connect) {
    this.#clock = clock;
    this.#connect = connect;
  }

  add(agent: ProcessAddress, blobId: BlobId): void {
    const batch = this.#batches.get(agent.processId);
    if (batch !== undefined) {
      batch.blobIds.add(blobId);
      return;
    }
    this.#batches.set(agent.processId, { agent, blobIds: new Set([blobId]) });
    if (this.#batches.size === 1)
      this.#clock.after(RELEASE_DELAY_MS, () => this.flush(), { unref: true });
  }

  flush(): void {
    const batches = [...this.#batches.values()];
    this.#batches.clear();
    for (const { agent, blobIds } of batches) {
      // Without an answer the agent is gone, and what it kept with it.
      void tell(this.#clock, () => this.#connect(agent), RECORD.storeRelease, [...blobIds]);
    }
  }
}
