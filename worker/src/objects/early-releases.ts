import type { BlobId } from '@manta/runtime/ids';

const REMEMBERED_MS = 60_000;
const REMEMBERED_MAX = 100_000;

/** Releases that came before the blob they are for is known: word of it may still be on its way. */
export class EarlyReleases {
  /** In the order of their coming. */
  readonly #cameAtMs = new Map<BlobId, number>();

  add(blobIds: readonly BlobId[], nowMs: number): void {
    for (const blobId of blobIds) this.#cameAtMs.set(blobId, nowMs);
    for (const [blobId, cameAtMs] of this.#cameAtMs) {
      if (nowMs - cameAtMs < REMEMBERED_MS && this.#cameAtMs.size <= REMEMBERED_MAX) break;
      this.#cameAtMs.delete(blobId);
    }
  }

  /** True when the blob was released; that is then forgotten. */
  take(blobId: BlobId): boolean {
    return this.#cameAtMs.delete(blobId);
  }
}
