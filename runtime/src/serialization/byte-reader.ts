import { constants } from 'node:buffer';
import { ProtocolError } from '../errors/errors.ts';
import { BLOCK_ALIGNMENT } from './value-format.ts';
import type { ValueSource } from './value-source.ts';

/** Property names up to this many bytes are looked up among those met before. */
const CACHED_KEY_BYTES_MAX = 32;
const KEY_CACHE_SIZE = 2_048;
const keyCache: string[] = Array.from({ length: KEY_CACHE_SIZE }, () => '');
/** Strings up to this length are read character by character; calling into the engine costs more. */
const SHORT_STRING_MAX = 12;
/** A reader of what lies beyond the bytes at hand gets so many times as much. */
const WINDOW_GROWTH = 4;
const NO_BYTES = new Uint8Array(0);

/** A place in received bytes, from which numbers, strings and headers are read with every bound checked. */
export class ByteReader {
  /** The value, or a window on it. */
  protected bytes: Uint8Array = NO_BYTES;
  protected position = 0;
  /** Where the bytes at hand start in the value. */
  protected windowStart = 0;
  /** Of the bytes at hand. */
  protected windowEnd = 0;
  protected source: ValueSource | undefined;
  /** Of the value; counted from `windowStart`, as the position. */
  protected end = 0;
  private buffer: Buffer | undefined;
  private view: DataView | undefined;

  protected open(bytes: Uint8Array, position: number, source: ValueSource | undefined): void {
    this.source = source;
    this.windowStart = 0;
    this.look(bytes, position, Math.max(source?.sizeBytes ?? 0, bytes.length));
  }

  /** Position within the value. */
  protected get offset(): number {
    return this.windowStart + this.position;
  }

  /** Has at least so many bytes at hand from the position on. */
  protected refill(byteLength: number): void {
    const { bytes, end, position, source } = this;
    if (source === undefined || byteLength > end - position)
      throw this.malformed('it ends too early');
    // Keeps the alignment of what follows.
    const moved = Math.floor(position / BLOCK_ALIGNMENT) * BLOCK_ALIGNMENT;
    const neededBytes = position - moved + byteLength;
    const wantedBytes = Math.max(neededBytes, bytes.length * WINDOW_GROWTH);
    const length = Math.min(wantedBytes, end - moved, constants.MAX_LENGTH);
    this.windowStart += moved;
    const buffer = source.bufferOf(this.windowStart, length);
    this.look(new Uint8Array(buffer), position - moved, end - moved);
  }

  private look(bytes: Uint8Array, position: number, end: number): void {
    this.bytes = bytes;
    this.position = position;
    this.windowEnd = bytes.length;
    this.end = end;
    this.buffer = undefined;
    this.view = undefined;
  }

  /** Lets go of the bytes. */
  protected close(): void {
    this.bytes = NO_BYTES;
    this.source = undefined;
    this.buffer = undefined;
    this.view = undefined;
  }

  /** Few names occur in many objects: comparing one costs less than making it, and the engine keeps names unique. */
  protected readCachedString(length: number): string {
    const start = this.position;
    if (length === 0 || length > CACHED_KEY_BYTES_MAX) return this.readString(length);
    if (start + length > this.windowEnd) return this.readString(length);
    const { bytes } = this;
    const first = bytes[start] as number;
    const middle = bytes[start + (length >> 1)] as number;
    const last = bytes[start + length - 1] as number;
    const slot = (length + first * 31 + middle * 157 + last * 389) & (KEY_CACHE_SIZE - 1);
    const cached = keyCache[slot] as string;
    if (cached.length === length) {
      let index = 0;
      while (index < length && cached.charCodeAt(index) === bytes[start + index]) index++;
      if (index === length && (bytes[start] as number) < 0x80) {
        this.position = start + length;
        return cached;
      }
    }
    const text = this.readString(length);
    // As many characters as bytes: ASCII, unless bytes were malformed.
    if (text.length === length && !text.includes('\ufffd')) keyCache[slot] = text;
    return text;
  }

  protected readString(length: number): string {
    const start = this.take(length);
    const { bytes } = this;
    if (length <= SHORT_STRING_MAX) {
      let text = '';
      let index = 0;
      for (; index < length; index++) {
        const byte = bytes[start + index] as number;
        if (byte > 0x7f) break;
        text += String.fromCharCode(byte);
      }
      if (index === length) return text;
    }
    return this.asBuffer().toString('utf8', start, start + length);
  }

  protected readMapSize(): number {
    const token = this.readUint8();
    if (token >= 0x80 && token < 0x90) return token & 0x0f;
    if (token === 0xde) return this.readUint16();
    if (token === 0xdf) return this.readUint32();
    throw this.malformed('a map expected');
  }

  protected readArrayLength(): number {
    const token = this.readUint8();
    if (token >= 0x90 && token < 0xa0) return token & 0x0f;
    if (token === 0xdc) return this.readUint16();
    if (token === 0xdd) return this.readUint32();
    throw this.malformed('an array expected');
  }

  protected readUint8(): number {
    const start = this.take(1);
    return this.bytes[start] as number;
  }

  protected readUint16(): number {
    const start = this.take(2);
    return ((this.bytes[start] as number) << 8) | (this.bytes[start + 1] as number);
  }

  protected readUint32(): number {
    const start = this.take(4);
    return this.dataView().getUint32(start);
  }

  protected readFloat64(): number {
    const start = this.take(8);
    return this.dataView().getFloat64(start);
  }

  protected readBigUint64(): bigint {
    const start = this.take(8);
    return this.dataView().getBigUint64(start);
  }

  protected readBigInt64(): bigint {
    const start = this.take(8);
    return this.dataView().getBigInt64(start);
  }

  private dataView(): DataView {
    this.view ??= new DataView(this.bytes.buffer, this.bytes.byteOffset, this.bytes.byteLength);
    return this.view;
  }

  /** Moves on by so many bytes and returns where they start. */
  protected take(byteLength: number): number {
    if (byteLength > this.windowEnd - this.position) this.refill(byteLength);
    const start = this.position;
    this.position = start + byteLength;
    return start;
  }

  protected asBuffer(): Buffer {
    const { bytes } = this;
    this.buffer ??= Buffer.isBuffer(bytes)
      ? bytes
      : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    return this.buffer;
  }

  protected malformed(what: string, options?: ErrorOptions): ProtocolError {
    return new ProtocolError(
      `malformed value at byte ${this.position} of ${this.end}: ${what}`,
      options,
    );
  }
}
