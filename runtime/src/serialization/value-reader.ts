import { MantaError, ProtocolError } from '../errors/errors.ts';
import { ByteReader } from './byte-reader.ts';
import { readErrorRecord } from './error-record.ts';
import type { TransferKind } from './transferable.ts';
import {
  BINARY_KINDS,
  ERROR_OBJECTS,
  EXTENSION,
  REFERENCES_FLAG,
  TRANSFERABLES_FLAG,
  VALUE_FORMAT_VERSION,
  type BinaryKind,
  type ValueLimits,
} from './value-format.ts';
import {
  aligned,
  SOURCE_BLOCK_MIN,
  viewOfWhole,
  type Block,
  type ValueSource,
} from './value-source.ts';

export type Revive = (kind: TransferKind, data: unknown) => unknown;

/** Stands for an object that is still being read and cannot be referred to yet. */
const UNFINISHED: unique symbol = Symbol('unfinished');

/**
 * Reads one value from bytes that nobody vouches for. Every declared length is held against the bytes that are there,
 * and the elements of all collections together against the length of the message, so that what is allocated stays
 * proportional to the input.
 */
export class ValueReader extends ByteReader {
  private depth = 0;
  private depthMax = 0;
  private objectBudget = 0;
  /** Elements that may still be declared: each takes a byte at least. */
  private elementBudget = 0;
  /** Only kept when the header says that references occur. */
  private objects: unknown[] | undefined;
  private hasTransferables = false;
  private revive: Revive;

  constructor(revive: Revive) {
    super();
    this.revive = revive;
  }

  /** @throws ProtocolError when the bytes are not a value; a MantaError that `revive` threw. */
  decode(bytes: Uint8Array, limits: ValueLimits, source?: ValueSource): unknown {
    this.open(bytes, 1, source);
    this.depth = 0;
    this.depthMax = limits.valueDepth;
    this.objectBudget = limits.valueObjects;
    this.elementBudget = Math.min(this.end, limits.valueElements);
    try {
      const header = bytes[0] ?? 0;
      if (
        header >> 4 !== VALUE_FORMAT_VERSION ||
        (header & 0x0f & ~(REFERENCES_FLAG | TRANSFERABLES_FLAG)) !== 0
      ) {
        throw new ProtocolError(
          `value of an unknown format (header ${header}): run matching Manta versions`,
        );
      }
      this.objects = (header & REFERENCES_FLAG) === 0 ? undefined : [];
      this.hasTransferables = (header & TRANSFERABLES_FLAG) !== 0;
      const value = this.read();
      if (this.position !== this.end) throw this.malformed('bytes left over');
      return value;
    } catch (error) {
      if (MantaError.is(error)) throw error;
      throw this.malformed(error instanceof Error ? error.message : 'not readable', {
        cause: error,
      });
    } finally {
      this.objects = undefined;
      this.close();
    }
  }

  read(): unknown {
    if (this.position >= this.windowEnd) this.refill(1);
    const { position } = this;
    const token = this.bytes[position] as number;
    this.position = position + 1;
    if (token < 0x80) return token;
    if (token >= 0xe0) return token - 0x100;
    if (token < 0x90) return this.readObject(token & 0x0f);
    if (token < 0xa0) return this.readArray(token & 0x0f);
    if (token < 0xc0) return this.readString(token & 0x1f);
    return this.readLongForm(token);
  }

  readText(): string {
    const text = this.read();
    if (typeof text !== 'string') throw this.malformed('text expected');
    return text;
  }

  /** Gives the object its number. */
  remember(object: unknown): void {
    if (this.objects !== undefined) this.objects.push(object);
  }

  /** A map item with text keys. */
  readEntries(onEntry: (key: string, value: unknown) => void): void {
    const size = this.readMapSize();
    this.reserve(size * 2);
    for (let index = 0; index < size; index++) onEntry(this.readKey(), this.read());
  }

  private readLongForm(token: number): unknown {
    switch (token) {
      case 0xc0:
        return null;
      case 0xc2:
        return false;
      case 0xc3:
        return true;
      case 0xc9:
        return this.readExtension();
      case 0xcb:
        return this.readFloat64();
      case 0xcc:
        return this.readUint8();
      case 0xcd:
        return this.readUint16();
      case 0xce:
        return this.readUint32();
      case 0xcf:
        return this.readBigUint64();
      case 0xd0:
        return (this.readUint8() << 24) >> 24;
      case 0xd1:
        return (this.readUint16() << 16) >> 16;
      case 0xd2:
        return this.readUint32() | 0;
      case 0xd3:
        return this.readBigInt64();
      case 0xd4:
        if (this.readUint8() !== EXTENSION.undefined || this.readUint8() !== 0) break;
        return undefined;
      case 0xd6:
        if (this.readUint8() !== EXTENSION.reference) break;
        return this.readReference();
      case 0xd7:
        if (this.readUint8() !== EXTENSION.date) break;
        return this.readDate();
      case 0xd9:
        return this.readString(this.readUint8());
      case 0xda:
        return this.readString(this.readUint16());
      case 0xdb:
        return this.readString(this.readUint32());
      case 0xdc:
        return this.readArray(this.readUint16());
      case 0xdd:
        return this.readArray(this.readUint32());
      case 0xde:
        return this.readObject(this.readUint16());
      case 0xdf:
        return this.readObject(this.readUint32());
      default:
    }
    throw this.malformed(`unknown item ${token}`);
  }

  private readArray(length: number): unknown[] {
    this.reserve(length);
    this.enter();
    const array: unknown[] = [];
    if (this.objects !== undefined) this.objects.push(array);
    for (let index = 0; index < length; index++) array.push(this.read());
    this.depth--;
    return array;
  }

  private readObject(size: number): Record<string, unknown> {
    this.reserve(size * 2);
    this.enter();
    const object: Record<string, unknown> = {};
    if (this.objects !== undefined) this.objects.push(object);
    for (let index = 0; index < size; index++) {
      const key = this.readKey();
      // Assigning to this one would change the prototype.
      if (key === '__proto__') {
        const value = this.read();
        Object.defineProperty(object, key, {
          value,
          writable: true,
          enumerable: true,
          configurable: true,
        });
      } else object[key] = this.read();
    }
    this.depth--;
    return object;
  }

  private readKey(): string {
    const token = this.bytes[this.position] as number;
    if (token >= 0xa0 && token < 0xc0) {
      this.position++;
      return this.readCachedString(token & 0x1f);
    }
    return this.readText();
  }

  private readReference(): unknown {
    const number = this.readUint32();
    const object = this.objects?.[number];
    if (object === undefined || object === UNFINISHED)
      throw this.malformed(`reference to no object (${number})`);
    return object;
  }

  private readDate(): Date {
    const date = new Date(this.readFloat64());
    this.countObjects(1);
    this.remember(date);
    return date;
  }

  private readExtension(): unknown {
    const length = this.readUint32();
    const type = this.readUint8();
    if (length > this.end - this.position) throw this.malformed('a length beyond its end');
    const end = this.offset + length;
    this.enter();
    const value = this.readExtensionContent(type, end);
    this.depth--;
    if (this.offset !== end) throw this.malformed('a wrong length');
    return value;
  }

  /** `end` counts from the start of the value. */
  private readExtensionContent(type: number, end: number): unknown {
    switch (type) {
      case EXTENSION.bigint:
        return this.readBigint(end);
      case EXTENSION.utf16: {
        const byteLength = end - this.offset;
        const start = this.take(byteLength);
        return this.asBuffer().toString('utf16le', start, start + byteLength);
      }
      case EXTENSION.int32Array:
        return this.readPackedArray(end, 4, Int32Array);
      case EXTENSION.float64Array:
        return this.readPackedArray(end, 8, Float64Array);
      case EXTENSION.map:
        return this.readMap();
      case EXTENSION.set:
        return this.readSet();
      case EXTENSION.regExp:
        return this.whole(() => new RegExp(this.readText(), this.readText()));
      case EXTENSION.url:
        return this.whole(() => new URL(this.readText()));
      case EXTENSION.error:
        this.countObjects(ERROR_OBJECTS - 1);
        return readErrorRecord(this);
      case EXTENSION.ref:
        return this.readTransferable('ref');
      case EXTENSION.handle:
        return this.readTransferable('handle');
      default:
        return this.readBinary(type - EXTENSION.binary, end);
    }
  }

  private readTransferable(kind: TransferKind): unknown {
    // Receivers prepare for these by looking at the header.
    if (!this.hasTransferables) throw this.malformed(`a ${kind} that the header does not announce`);
    return this.whole(() => this.revive(kind, this.read()));
  }

  /** An object that exists only once all of it is read. */
  private whole<T>(make: () => T): T {
    const { objects } = this;
    const number = objects === undefined ? 0 : objects.push(UNFINISHED) - 1;
    const value = make();
    if (objects !== undefined) objects[number] = value;
    return value;
  }

  private readMap(): Map<unknown, unknown> {
    const map = new Map<unknown, unknown>();
    this.remember(map);
    const size = this.readMapSize();
    this.reserve(size * 2);
    for (let index = 0; index < size; index++) {
      const key = this.read();
      map.set(key, this.read());
    }
    return map;
  }

  private readSet(): Set<unknown> {
    const set = new Set<unknown>();
    this.remember(set);
    const size = this.readArrayLength();
    this.reserve(size);
    for (let index = 0; index < size; index++) set.add(this.read());
    return set;
  }

  private readBigint(end: number): bigint {
    const isNegative = this.readUint8() === 1;
    const byteLength = end - this.offset;
    if (byteLength <= 0) throw this.malformed('a bigint without digits');
    const start = this.take(byteLength);
    const magnitude = BigInt(`0x${this.asBuffer().toString('hex', start, start + byteLength)}`);
    return isNegative ? -magnitude : magnitude;
  }

  private readPackedArray(
    end: number,
    elementBytes: number,
    type: new (
      buffer: ArrayBufferLike,
      byteOffset: number,
      length: number,
    ) => Int32Array | Float64Array,
  ): number[] {
    const block = this.readBlock(end, elementBytes);
    const { length } = block;
    const numbers = new type(...aligned(block, elementBytes));
    const array: number[] = [];
    array.length = length;
    for (let index = 0; index < length; index++) array[index] = numbers[index] as number;
    this.remember(array);
    return array;
  }

  private readBinary(kindIndex: number, end: number): unknown {
    const kind = BINARY_KINDS[kindIndex];
    if (kind === undefined)
      throw this.malformed(`unknown extension ${kindIndex + EXTENSION.binary}`);
    const { source } = this;
    const binary =
      source === undefined
        ? kind.viewOf(...aligned(this.readBlock(end, kind.elementBytes), kind.elementBytes))
        : this.readOwnBinary(kind, end, source);
    this.remember(binary);
    return binary;
  }

  /** On a buffer of its own. Large data is not looked at here. */
  private readOwnBinary(kind: BinaryKind, end: number, source: ValueSource): unknown {
    const { elementBytes } = kind;
    const { byteLength, length } = this.readBlockLength(end, elementBytes);
    if (byteLength >= SOURCE_BLOCK_MIN) {
      const own = source.bufferOf(this.offset, byteLength);
      this.position += byteLength;
      return viewOfWhole(kind, own, length);
    }
    const start = this.take(byteLength);
    const own = new Uint8Array(this.bytes.subarray(start, start + byteLength)).buffer;
    return viewOfWhole(kind, own, length);
  }

  /** Where the elements of a block are in the received bytes. */
  private readBlock(end: number, elementBytes: number): Block {
    const { byteLength, length } = this.readBlockLength(end, elementBytes);
    const start = this.take(byteLength);
    return { bytes: this.bytes, start, length, byteLength };
  }

  private readBlockLength(
    end: number,
    elementBytes: number,
  ): { byteLength: number; length: number } {
    this.take(this.readUint8());
    const byteLength = end - this.offset;
    const length = byteLength / elementBytes;
    if (byteLength < 0) throw this.malformed('a wrong length');
    if (!Number.isInteger(length)) throw this.malformed('part of an element');
    return { byteLength, length };
  }

  private reserve(elements: number): void {
    this.elementBudget -= elements;
    if (this.elementBudget < 0) throw this.malformed('more elements than bytes, or than permitted');
  }

  private enter(): void {
    if (++this.depth > this.depthMax)
      throw this.malformed(`nested deeper than ${this.depthMax} levels`);
    this.countObjects(1);
  }

  private countObjects(count: number): void {
    this.objectBudget -= count;
    if (this.objectBudget < 0) throw this.malformed('more objects than permitted');
  }
}
