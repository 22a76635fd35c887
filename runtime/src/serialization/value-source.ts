import type { BinaryKind } from './value-format.ts';

/** Binary data from this size on gets an ArrayBuffer of its own from a source; below, a copy costs less. */
const SOURCE_BLOCK_MIN = 4 * 1024;

/** Where the bytes of a value are kept; `StoredBytes` of the shared store is one. */
export interface ValueSource {
  /** Of the whole value. Default: the length of the bytes at hand, which may be less (typed arrays end at 4 GiB). */
  readonly sizeBytes?: number;
  /** An ArrayBuffer of exactly this range. */
  bufferOf(offset: number, length: number): ArrayBuffer;
}

/** Where the elements of a block are in received bytes. */
export interface Block {
  bytes: Uint8Array;
  start: number;
  byteLength: number;
  /** In elements. */
  length: number;
}

/** In the received bytes, or in a copy when those are misaligned. */
export function aligned(
  { bytes, start, byteLength, length }: Block,
  elementBytes: number,
): [buffer: ArrayBufferLike, byteOffset: number, length: number] {
  const { buffer } = bytes;
  const byteOffset = bytes.byteOffset + start;
  if (byteOffset % elementBytes === 0) return [buffer, byteOffset, length];
  return [buffer.slice(byteOffset, byteOffset + byteLength), 0, length];
}

/** Binary data on a buffer of its own. @param windowStart where the received bytes start in the source */
export function ownBinary(
  kind: BinaryKind,
  { bytes, start, byteLength, length }: Block,
  source: ValueSource,
  windowStart: number,
): unknown {
  const byteOffset = bytes.byteOffset + start;
  const own =
    byteLength >= SOURCE_BLOCK_MIN
      ? source.bufferOf(windowStart + start, byteLength)
      : bytes.buffer.slice(byteOffset, byteOffset + byteLength);
  return kind.prototype === ArrayBuffer.prototype ? own : kind.viewOf(own, 0, length);
}
