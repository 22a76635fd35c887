import { Unsendable } from './unsendable.ts';
import { BLOCK_ALIGNMENT, EXTENSION } from './value-format.ts';
import { joinParts, partsOf, type DeferredBlock } from './value-parts.ts';

/** Small messages are cut from slabs of this size, one after the other. */
const SLAB_BYTES = 64 * 1024;
/** A slab with less room than this left is replaced. */
const SLAB_ROOM_MIN = 2 * 1024;
/**
 * Blocks from this size on that do not fit into the buffer are not copied until the message is put together, so that
 * every block is copied exactly once.
 */
const DEFERRED_BLOCK_MIN = 4 * 1024;
/** Of a message that is wanted in parts, blocks from this size on are never copied. */
const PART_BLOCK_MIN = 16 * 1024;
/** What an extension's length field holds. */
const BLOCK_BYTES_MAX = 0xffff_ffff - BLOCK_ALIGNMENT;
/** Readers look at a window of 4 GiB, which has to hold any extension that starts in its first half. */
const EXTENSION_BYTES_MAX = 2 ** 31;
/** What a buffer that has to grow gets beside what is needed now. */
const GROWTH_ROOM = 1_024;

export interface OutputMark {
  offset: number;
  deferredCount: number;
  deferredBytes: number;
}

/** A growing MessagePack buffer. Messages start at multiples of 8, and so do blocks within them. */
export class OutputBuffer {
  private slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
  private slabUsed = 0;
  private buffer = this.slab;
  private view = viewOf(this.slab);
  private start = 0;
  private position = 0;
  private bytesMax = 0;
  private inParts = false;
  private deferred: DeferredBlock[] = [];
  private deferredBytes = 0;

  begin(bytesMax: number, inParts: boolean): void {
    if (this.slabUsed > SLAB_BYTES - SLAB_ROOM_MIN) {
      this.slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
      this.slabUsed = 0;
      this.use(this.slab);
    }
    this.start = this.slabUsed;
    this.position = this.start;
    this.bytesMax = bytesMax;
    this.inParts = inParts;
  }

  /** The message; its first byte becomes `header`. */
  finish(header: number): Uint8Array {
    this.buffer[this.start] = header;
    this.checkSize(0);
    const written = this.buffer.subarray(this.start, this.position);
    if (this.deferred.length > 0)
      return joinParts(partsOf(written, this.deferred), written.length + this.deferredBytes);
    this.keepWritten();
    return written;
  }

  /** The message without a copy of its large blocks. */
  finishParts(header: number): Uint8Array[] {
    this.buffer[this.start] = header;
    this.checkSize(0);
    const written = this.buffer.subarray(this.start, this.position);
    this.keepWritten();
    return this.deferred.length === 0 ? [written] : partsOf(written, this.deferred);
  }

  /** Length of the message so far. */
  get sizeBytes(): number {
    return this.position - this.start + this.deferredBytes;
  }

  reset(): void {
    if (this.buffer !== this.slab) this.use(this.slab);
    if (this.deferred.length > 0) this.deferred = [];
    this.deferredBytes = 0;
  }

  mark(): OutputMark {
    return {
      offset: this.position - this.start,
      deferredCount: this.deferred.length,
      deferredBytes: this.deferredBytes,
    };
  }

  rollback(mark: OutputMark): void {
    this.position = this.start + mark.offset;
    this.deferred.length = mark.deferredCount;
    this.deferredBytes = mark.deferredBytes;
  }

  byte(value: number): void {
    this.room(1);
    this.buffer[this.position++] = value;
  }

  bytes3(first: number, second: number, third: number): void {
    this.room(3);
    this.buffer[this.position++] = first;
    this.buffer[this.position++] = second;
    this.buffer[this.position++] = third;
  }

  number(value: number): void {
    this.room(9);
    if (isInt32(value)) return this.int32(value);
    if (value >>> 0 === value && value !== 0) {
      this.buffer[this.position] = 0xce;
      this.view.setUint32(this.position + 1, value);
      this.position += 5;
      return;
    }
    this.buffer[this.position] = 0xcb;
    this.view.setFloat64(this.position + 1, value);
    this.position += 9;
  }

  /** Whether the number fitted 64 bits and was written. */
  bigint64(value: bigint): boolean {
    const isSigned = BigInt.asIntN(64, value) === value;
    if (!isSigned && BigInt.asUintN(64, value) !== value) return false;
    this.room(9);
    this.buffer[this.position] = isSigned ? 0xd3 : 0xcf;
    if (isSigned) this.view.setBigInt64(this.position + 1, value);
    else this.view.setBigUint64(this.position + 1, value);
    this.position += 9;
    return true;
  }

  /** Whether the string was ASCII and was written. At most 255 characters. */
  asciiString(text: string): boolean {
    const { length } = text;
    this.room(2 + length);
    const { buffer } = this;
    let at = this.position;
    if (length < 0x20) buffer[at++] = 0xa0 | length;
    else {
      buffer[at++] = 0xd9;
      buffer[at++] = length;
    }
    for (let index = 0; index < length; index++) {
      const code = text.charCodeAt(index);
      if (code > 0x7f) return false;
      buffer[at++] = code;
    }
    this.position = at;
    return true;
  }

  utf8String(text: string): void {
    const { length } = text;
    // Measuring costs more than writing: only what may not fit is measured first.
    if (this.position + 5 + length * 3 > this.buffer.length)
      this.room(5 + Buffer.byteLength(text, 'utf8'));
    const { buffer, position } = this;
    const headerBytes = stringHeaderBytes(length);
    const byteLength = buffer.write(text, position + headerBytes, 'utf8');
    const neededBytes = stringHeaderBytes(byteLength);
    if (neededBytes !== headerBytes) {
      const start = position + headerBytes;
      buffer.copyWithin(position + neededBytes, start, start + byteLength);
    }
    if (byteLength < 0x20) buffer[this.position++] = 0xa0 | byteLength;
    else this.sizedHeader(byteLength, 0xd9, 0xda, 0xdb);
    this.position += byteLength;
  }

  utf16(text: string): void {
    this.room(text.length * 2);
    this.position += this.buffer.write(text, this.position, text.length * 2, 'utf16le');
  }

  raw(bytes: Uint8Array): void {
    this.room(bytes.length);
    this.buffer.set(bytes, this.position);
    this.position += bytes.length;
  }

  arrayHeader(length: number): void {
    this.room(5);
    if (length < 0x10) this.buffer[this.position++] = 0x90 | length;
    else this.sizedHeader(length, undefined, 0xdc, 0xdd);
  }

  mapHeader(size: number): void {
    this.room(5);
    if (size < 0x10) this.buffer[this.position++] = 0x80 | size;
    else this.sizedHeader(size, undefined, 0xde, 0xdf);
  }

  reference(number: number): void {
    this.room(6);
    this.buffer[this.position] = 0xd6;
    this.buffer[this.position + 1] = EXTENSION.reference;
    this.view.setUint32(this.position + 2, number);
    this.position += 6;
  }

  date(timeMs: number): void {
    this.room(10);
    this.buffer[this.position] = 0xd7;
    this.buffer[this.position + 1] = EXTENSION.date;
    this.view.setFloat64(this.position + 2, timeMs);
    this.position += 10;
  }

  extensionHeader(type: number, byteLength: number): void {
    this.room(6);
    this.buffer[this.position] = 0xc9;
    this.view.setUint32(this.position + 1, byteLength);
    this.buffer[this.position + 5] = type;
    this.position += 6;
  }

  /** Returns what `endExtension` needs to fill in the length. */
  beginExtension(type: number): OutputMark {
    this.extensionHeader(type, 0);
    return this.mark();
  }

  endExtension(mark: OutputMark): void {
    const offset = this.position - this.start;
    const byteLength = offset + this.deferredBytes - mark.offset - mark.deferredBytes;
    this.checkSize(0);
    if (byteLength > EXTENSION_BYTES_MAX) throw tooLong('a Map, a Set or an error', 2);
    this.view.setUint32(this.start + mark.offset - 5, byteLength);
  }

  /** Raw bytes behind as much padding as aligns them. */
  block(type: number, bytes: Uint8Array): void {
    const { byteLength } = bytes;
    this.checkSize(byteLength);
    if (byteLength > BLOCK_BYTES_MAX) throw tooLong('binary data', 4);
    this.blockHeader(type, byteLength);
    const fits = this.position + byteLength <= this.buffer.length;
    const isPart = this.inParts && byteLength >= PART_BLOCK_MIN;
    if (!isPart && (fits || byteLength < DEFERRED_BLOCK_MIN)) return this.raw(bytes);
    this.deferred.push({ offset: this.position - this.start, bytes, byteLength });
    this.deferredBytes += byteLength;
  }

  /** Whether all elements are numbers and were written as a block of int32 or float64. */
  packedNumbers(array: readonly unknown[]): boolean {
    if (typeof array[0] !== 'number') return false;
    const mark = this.mark();
    if (isInt32(array[0])) {
      if (this.packedInt32(array)) return true;
      this.rollback(mark);
    }
    if (this.packedFloat64(array)) return true;
    this.rollback(mark);
    return false;
  }

  private packedInt32(array: readonly unknown[]): boolean {
    const { length } = array;
    this.blockHeader(EXTENSION.int32Array, length * 4);
    this.room(length * 4);
    const { view } = this;
    let at = this.position;
    for (let index = 0; index < length; index++, at += 4) {
      const element = array[index];
      if (typeof element !== 'number' || !isInt32(element)) return false;
      view.setInt32(at, element, true);
    }
    this.position = at;
    return true;
  }

  private packedFloat64(array: readonly unknown[]): boolean {
    const { length } = array;
    this.blockHeader(EXTENSION.float64Array, length * 8);
    this.room(length * 8);
    const { view } = this;
    let at = this.position;
    for (let index = 0; index < length; index++, at += 8) {
      const element = array[index];
      if (typeof element !== 'number') return false;
      view.setFloat64(at, element, true);
    }
    this.position = at;
    return true;
  }

  private blockHeader(type: number, byteLength: number): void {
    this.room(7 + BLOCK_ALIGNMENT);
    const offset = this.position - this.start + this.deferredBytes;
    const padding = -(offset + 7) & (BLOCK_ALIGNMENT - 1);
    this.extensionHeader(type, 1 + padding + byteLength);
    this.buffer[this.position++] = padding;
    this.buffer.fill(0, this.position, this.position + padding);
    this.position += padding;
  }

  private int32(value: number): void {
    const { buffer } = this;
    if (value >= -0x20 && value < 0x80) {
      buffer[this.position++] = value & 0xff;
    } else if (value >= 0) {
      if (value < 0x100) {
        buffer[this.position++] = 0xcc;
        buffer[this.position++] = value;
      } else if (value < 0x10000) {
        buffer[this.position++] = 0xcd;
        buffer[this.position++] = value >> 8;
        buffer[this.position++] = value;
      } else {
        buffer[this.position] = 0xce;
        this.view.setUint32(this.position + 1, value);
        this.position += 5;
      }
    } else if (value >= -0x80) {
      buffer[this.position++] = 0xd0;
      buffer[this.position++] = value;
    } else if (value >= -0x8000) {
      buffer[this.position++] = 0xd1;
      buffer[this.position++] = value >> 8;
      buffer[this.position++] = value;
    } else {
      buffer[this.position] = 0xd2;
      this.view.setInt32(this.position + 1, value);
      this.position += 5;
    }
  }

  private sizedHeader(
    size: number,
    code8: number | undefined,
    code16: number,
    code32: number,
  ): void {
    const { buffer } = this;
    if (code8 !== undefined && size < 0x100) {
      buffer[this.position++] = code8;
    } else if (size < 0x10000) {
      buffer[this.position++] = code16;
      buffer[this.position++] = size >> 8;
    } else {
      buffer[this.position] = code32;
      this.view.setUint32(this.position + 1, size);
      this.position += 5;
      return;
    }
    buffer[this.position++] = size;
  }

  private room(byteLength: number): void {
    if (this.position + byteLength > this.buffer.length) this.grow(byteLength);
  }

  private grow(byteLength: number): void {
    this.checkSize(byteLength);
    const used = this.position - this.start;
    const grown = Buffer.allocUnsafeSlow(Math.max(used * 2, used + byteLength + GROWTH_ROOM));
    grown.set(this.buffer.subarray(this.start, this.position));
    this.use(grown);
    this.start = 0;
    this.position = used;
  }

  private checkSize(moreBytes: number): void {
    if (this.position - this.start + this.deferredBytes + moreBytes <= this.bytesMax) return;
    throw new Unsendable(
      `the message would be larger than ${this.bytesMax} bytes; send a ref to an object in the store, or several smaller values`,
    );
  }

  private use(buffer: Buffer<ArrayBuffer>): void {
    this.buffer = buffer;
    this.view = viewOf(buffer);
  }

  private keepWritten(): void {
    if (this.buffer === this.slab) this.slabUsed = (this.position + 7) & ~7;
  }
}

const tooLong = (what: string, gigabytes: number): Unsendable =>
  new Unsendable(`${what} in it is longer than ${gigabytes} GiB; send an array of shorter ones`);

const isInt32 = (value: number): boolean => (value | 0) === value && (value !== 0 || 1 / value > 0);

const stringHeaderBytes = (byteLength: number): number => {
  if (byteLength < 0x20) return 1;
  if (byteLength < 0x100) return 2;
  return byteLength < 0x10000 ? 3 : 5;
};

const viewOf = (buffer: Buffer): DataView =>
  new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength);
