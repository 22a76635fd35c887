import { ProtocolError } from '../errors/errors.ts';

/** Property names up to this many bytes are looked up among those met before. */
const CACHED_KEY_BYTES_MAX = 32;
const KEY_CACHE_SIZE = 2_048;
const keyCache: string[] = Array.from({ length: KEY_CACHE_SIZE }, () => '');
/** Strings up to this length are read character by character; calling into the engine costs more. */
const SHORT_STRING_MAX = 12;
const NO_BYTES = new Uint8Array(0);

/** A place in received bytes, from which numbers, strings and headers are read with every bound checked. */
export class ByteReader {
  protected bytes: Uint8Array = NO_BYTES;
  protected position = 0;
  protected end = 0;
  private buffer: Buffer | undefined;
  private view: DataView | undefined;

  /** `length` is more than that of the bytes when these are only the beginning. */
  protected open(bytes: Uint8Array, position: number, length = bytes.length): void {
    this.bytes = bytes;
    this.position = position;
    this.end = length;
    this.buffer = undefined;
    this.view = undefined;
  }

  /** Lets go of the bytes. */
  protected close(): void {
    this.bytes = NO_BYTES;
    this.buffer = undefined;
    this.view = undefined;
  }

  /** Few names occur in many objects: comparing one costs less than making it, and the engine keeps names unique. */
  protected readCachedString(length: number): string {
    const start = this.position;
    if (length === 0 || length > CACHED_KEY_BYTES_MAX) return this.readString(length);
    if (start + length > this.end) throw this.malformed('it ends too early');
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
    return this.bytes[this.take(1)] as number;
  }

  protected readUint16(): number {
    const start = this.take(2);
    return ((this.bytes[start] as number) << 8) | (this.bytes[start + 1] as number);
  }

  protected readUint32(): number {
    return this.dataView().getUint32(this.take(4));
  }

  protected dataView(): DataView {
    this.view ??= new DataView(this.bytes.buffer, this.bytes.byteOffset, this.bytes.byteLength);
    return this.view;
  }

  /** Moves on by so many bytes and returns where they start. */
  protected take(byteLength: number): number {
    const start = this.position;
    if (byteLength > this.end - start) throw this.malformed('it ends too early');
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
