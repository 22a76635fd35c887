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
  #collecting: Promise<void> | undefined;

  constructor(collectGarbage: () => Promise<void>) {
    this.#collectGarbage = collectGarbage;
  }

  /** Settles when garbage has been collected that is due. Undefined: none is. */
  get collecting(): Promise<void> | undefined {
    return this.#collecting;
  }

  /** After something was stored, or looked at. */
  look(store: ProcessStore): void {
    const { heldBytes, limitBytes } = store;
    this.#heldAfterCollection = Math.min(this.#heldAfterCollection, heldBytes);
    const share = Math.max(SHARE_BYTES_MIN, Math.min(limitBytes * SHARE, SHARE_BYTES_MAX));
    if (this.#collecting !== undefined || heldBytes - this.#heldAfterCollection < share) return;
    this.#collecting = this.#collect(store);
  }

  async #collect(store: ProcessStore): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    await this.#collectGarbage();
    store.sweep();
    this.#heldAfterCollection = store.heldBytes;
    this.#collecting = undefined;
  }
}
