import type { Transferable } from './transferable.ts';
import { Unsendable } from './unsendable.ts';

export interface EncodedParts {
  /**
   * The message, cut into pieces. Blocks (typed arrays, Buffers, ArrayBuffers) of at least 16 KiB, and some of at least
   * 4 KiB, are pieces that point at the user's own memory: copy them before user code runs again. `joinParts` makes one
   * piece of them. A single part is never the user's memory.
   */
  parts: Uint8Array[];
  /** Of all parts together. */
  sizeBytes: number;
  transferables: Transferable[];
}

/** A block that stays where the user has it until the message is put together. */
export interface DeferredBlock {
  /** Offset in the written bytes, from the start of the message, before which the block belongs. */
  offset: number;
  bytes: Uint8Array;
  byteLength: number;
}

/** The message in order: pieces of `written`, and between them the blocks. */
export function partsOf(written: Uint8Array, blocks: readonly DeferredBlock[]): Uint8Array[] {
  const parts: Uint8Array[] = [];
  let read = 0;
  for (const { offset, bytes, byteLength } of blocks) {
    // A getter that ran after it was noted may have detached or resized the buffer.
    if (bytes.byteLength !== byteLength)
      throw new Unsendable('binary data in it changed its size while it was sent');
    if (offset > read) parts.push(written.subarray(read, offset));
    parts.push(bytes);
    read = offset;
  }
  if (read < written.length) parts.push(written.subarray(read));
  return parts;
}

/** One piece of memory; the only part itself when there is one. */
export function joinParts(parts: readonly Uint8Array[], sizeBytes: number): Uint8Array {
  const [first] = parts;
  if (parts.length === 1 && first !== undefined) return first;
  const joined = Buffer.allocUnsafeSlow(sizeBytes);
  let offset = 0;
  for (const part of parts) {
    joined.set(part, offset);
    offset += part.length;
  }
  return joined;
}
