/** Bytes that may be under way at a time; who finds none left is served in the order of asking. */
export class ByteBudget {
  readonly limitBytes: number;
  #usedBytes = 0;
  readonly #waiting = new Set<{ bytes: number; onGranted(): void }>();

  constructor(limitBytes: number) {
    this.limitBytes = limitBytes;
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }

  /**
   * Calls `onGranted` when there is room, at once if there is now; the bytes are then given back with `release`.
   * More than the limit is let through alone. The result takes the wish back.
   */
  take(bytes: number, onGranted: () => void): () => void {
    const wish = { bytes, onGranted };
    this.#waiting.add(wish);
    this.#serve();
    return () => {
      if (this.#waiting.delete(wish)) this.#serve();
    };
  }

  release(bytes: number): void {
    this.#usedBytes -= bytes;
    this.#serve();
  }

  #serve(): void {
    for (const wish of this.#waiting) {
      if (this.#usedBytes > 0 && this.#usedBytes + wish.bytes > this.limitBytes) return;
      this.#waiting.delete(wish);
      this.#usedBytes += wish.bytes;
      wish.onGranted();
    }
  }
}
