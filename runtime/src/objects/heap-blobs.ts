import type { Channel, ChannelRecord } from '../channel/channel.ts';
import type { BlobId } from '../ids.ts';
import { BlobServer } from './blob-server.ts';
import type { ChunkRequest } from './chunks.ts';

/**
 * Without a store a value of this size or more stays in the heap as a blob, which others get in chunks when they read
 * it; a smaller one goes inside messages.
 */
export const HEAP_BLOB_BYTES_MIN = 1024 * 1024;

/** Blobs in the heap of a process that has no store. It serves them itself, as an agent serves those of its node. */
export class HeapBlobs {
  readonly #bytes = new Map<BlobId, Uint8Array>();
  readonly #server = new BlobServer({ reader: this });

  /** `bytes` must not change. */
  add(blobId: BlobId, bytes: Uint8Array): void {
    this.#bytes.set(blobId, bytes);
  }

  remove(blobId: BlobId): void {
    this.#bytes.delete(blobId);
  }

  read({ blobId, offset, bytes }: ChunkRequest, target: Uint8Array): boolean {
    const blob = this.#bytes.get(blobId);
    if (blob === undefined || offset + bytes > blob.byteLength) return false;
    target.set(blob.subarray(offset, offset + bytes));
    return true;
  }

  /** Handles the records of this part; false for those of others. @throws ProtocolError */
  receive(channel: Channel, record: ChannelRecord): boolean {
    return this.#server.receive(channel, record);
  }
}
