import type { BinaryKind } from './value-format.ts';

/** Binary data from this size on gets an ArrayBuffer of its own from a source; below, a copy costs less. */
export const SOURCE_BLOCK_MIN = 4 * 1024;

/** Where the bytes of a value are kept; `StoredBytes` of the shared store is one. */
export interface ValueSource {
  /** Of the whole value, of which the bytes at hand may be only the beginning. Default: they are all. */
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

export const viewOfWhole = (kind: BinaryKind, own: ArrayBuffer, length: number): unknown =>
  kind.prototype === ArrayBuffer.prototype ? own : kind.viewOf(own, 0, length);
