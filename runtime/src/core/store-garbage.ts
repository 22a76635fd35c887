import type { ProcessStore } from './process-store.ts';

/** Of the store: an eighth, within these bounds. */
const SHARE = 1 / 8;
const SHARE_BYTES_MIN = 64 * 1024 * 1024;
const SHARE_BYTES_MAX = 512 * 1024 * 1024;

/**
 * Has garbage collected when this process holds a share of the store more than after the last time: refs and views that
 * were dropped hold memory that the engine does not feel, and used memory is faster than new.
 */
export class StoreGarbage {
  readonly #collectGarbage: () => Promise<void>;
  #heldAfterCollection = 0;
  #isCollecting = false;

  constructor(collectGarbage: () => Promise<void>) {
    this.#collectGarbage = collectGarbage;
  }

  /** After something was stored, or looked at. */
  look(store: ProcessStore): void {
    const { heldBytes, limitBytes } = store;
    this.#heldAfterCollection = Math.min(this.#heldAfterCollection, heldBytes);
    const share = Math.max(SHARE_BYTES_MIN, Math.min(limitBytes * SHARE, SHARE_BYTES_MAX));
    if (this.#isCollecting || heldBytes - this.#heldAfterCollection < share) return;
    this.#isCollecting = true;
    setImmediate(() => void this.#collect(store));
  }

  async #collect(store: ProcessStore): Promise<void> {
    await this.#collectGarbage();
    store.sweep();
    this.#heldAfterCollection = store.heldBytes;
    this.#isCollecting = false;
  }
}
