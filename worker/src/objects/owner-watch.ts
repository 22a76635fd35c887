import { ProcessGoneError } from '@manta/runtime/channel/process-gone';
import type { ProcessId } from '@manta/runtime/ids';
import type { PeerConnection } from '@manta/runtime/rpc/peer-connection';
import type { Clock } from '@manta/runtime/time/clock';
import type { ProcessAddress } from '@manta/runtime/wire/messages';

const RETRY_PAUSES_MS = [100, 500, 1_000, 2_000, 4_000, 8_000];
/** Of those, as many for an owner of which nothing is left. */
const RETRIES_WHEN_GONE = 2;

export interface OwnerWatchOptions {
  clock: Clock;
  readonly connect: (address: ProcessAddress) => Promise<PeerConnection>;
  readonly onDied: (owner: ProcessId) => void;
  /**
   * Pauses between attempts to reach an owner again; after the last it counts as dead, after the second when it is
   * known to be gone. Default: 16 s in all.
   */
  retryPausesMs?: readonly number[] | undefined;
}

/** Keeps a connection to each process that something is kept for, and says when one is gone for good. */
export class OwnerWatch {
  readonly #options: OwnerWatchOptions;
  readonly #watched = new Map<ProcessId, { cancel: () => void }>();

  constructor(options: OwnerWatchOptions) {
    this.#options = options;
  }

  watch(address: ProcessAddress): void {
    if (this.#watched.has(address.processId)) return;
    const watched = { cancel: () => undefined };
    this.#watched.set(address.processId, watched);
    void this.#reach(address, watched, 0);
  }

  unwatch(owner: ProcessId): void {
    this.#watched.get(owner)?.cancel();
    this.#watched.delete(owner);
  }

  close(): void {
    for (const owner of this.#watched.keys()) this.unwatch(owner);
  }

  async #reach(
    address: ProcessAddress,
    watched: { cancel: () => void },
    attempt: number,
  ): Promise<void> {
    const { clock, connect, onDied } = this.#options;
    const isWatched = (): boolean => this.#watched.get(address.processId) === watched;
    try {
      const connection = await connect(address);
      if (!isWatched()) return;
      watched.cancel = connection.onLost(() => {
        if (isWatched()) void this.#reach(address, watched, 0);
      });
    } catch (error) {
      // Refused, or nobody there: what the retries are for.
      if (!isWatched()) return;
      const isGone = error instanceof ProcessGoneError && attempt >= RETRIES_WHEN_GONE;
      const { retryPausesMs = RETRY_PAUSES_MS } = this.#options;
      const pauseMs = isGone ? undefined : retryPausesMs[attempt];
      if (pauseMs === undefined) {
        this.#watched.delete(address.processId);
        onDied(address.processId);
        return;
      }
      const again = (): void => void this.#reach(address, watched, attempt + 1);
      watched.cancel = clock.after(pauseMs, again, { unref: true });
    }
  }
}
