import type { BlobId } from '../ids.ts';
import type { SlotAddress } from './blob.ts';
import { ChunkChecksum } from './chunk-checksum.ts';

/** A piece of a blob that another node asks for. */
export interface ChunkRequest {
  blobId: BlobId;
  offset: number;
  bytes: number;
  /** Where it lay on this node when it was described: of what a process stored for itself the agent knows no more. */
  slot: SlotAddress | undefined;
}

/** What pulls ask for, unless told otherwise. */
const USUAL_BYTES = 1024 * 1024;
const KEPT_MAX = 16;

/** Memory to read chunks into, used again: the first touch of new memory costs as much as the reading. */
export class ChunkMemory {
  readonly #free: Buffer[] = [];

  take(bytes: number): Uint8Array {
    if (bytes > USUAL_BYTES) return Buffer.allocUnsafeSlow(bytes);
    const memory = this.#free.pop() ?? Buffer.allocUnsafeSlow(USUAL_BYTES);
    return memory.subarray(0, bytes);
  }

  /** Nobody looks at it any more. */
  give(chunk: Uint8Array): void {
    if (chunk.buffer.byteLength === USUAL_BYTES && this.#free.length < KEPT_MAX)
      this.#free.push(Buffer.from(chunk.buffer as ArrayBuffer));
  }
}

/** 64 GiB in usual chunks. */
const CHECKSUMS_MAX = 64 * 1024;

/** Checksums of chunks that were sent once: a blob does not change, and is often wanted by several nodes. */
export class ChunkChecksums {
  /** In the order of their computing. */
  readonly #known = new Map<string, number>();

  of({ blobId, offset }: ChunkRequest, bytes: Uint8Array): number {
    const key = `${blobId} ${offset} ${bytes.byteLength}`;
    let checksum = this.#known.get(key);
    if (checksum === undefined) {
      checksum = new ChunkChecksum().update(bytes).value();
      this.#known.set(key, checksum);
      if (this.#known.size > CHECKSUMS_MAX) this.#forgetOldest();
    }
    return checksum;
  }

  #forgetOldest(): void {
    const [oldest] = this.#known.keys();
    if (oldest !== undefined) this.#known.delete(oldest);
  }
}
