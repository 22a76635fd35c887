/**
 * The wire format of values, version 1. It must not change: golden bytes in `value-codec.test.ts` hold it.
 *
 * The first byte is a header: the version in the high four bits, in the low four `REFERENCES_FLAG` when references
 * occur and `TRANSFERABLES_FLAG` when refs or handles do. One MessagePack item follows; plain data is written as any MessagePack library would (undefined is msgpackr's
 * `d4 00 00`; numbers are int8…uint32 where exact, else float64; int64 and uint64 are bigints that fit). All else is
 * an extension of the types below. Extensions that hold items are `ext 32`, so that a reader can skip them.
 *
 * A *block* is an `ext 32` whose payload is: one byte with the number of padding bytes, the padding (zeros), the raw
 * bytes. The padding brings the raw bytes to a multiple of 8 from the start of the message. Elements of typed arrays
 * are little-endian, as on every machine Node.js runs on but s390x.
 *
 * Objects (everything with identity) are numbered from 0 in the order in which they begin; a reference names that
 * number.
 */
export const VALUE_FORMAT_VERSION = 1;
export const REFERENCES_FLAG = 0x01;
export const TRANSFERABLES_FLAG = 0x02;
export const BLOCK_ALIGNMENT = 8;

export const EXTENSION = {
  undefined: 0x00,
  /** fixext 4: number of an object met before. */
  reference: 0x01,
  /** One byte 1 when negative, then the magnitude, big-endian. Only for what does not fit 64 bits. */
  bigint: 0x02,
  /** fixext 8: float64 milliseconds since the epoch, NaN for an invalid date. */
  date: 0x03,
  /** A string with lone surrogates: its UTF-16 code units, little-endian. */
  utf16: 0x04,
  /** Block: an array that holds nothing but int32 numbers. */
  int32Array: 0x05,
  /** Block: an array that holds nothing but numbers. */
  float64Array: 0x06,
  /** A map item. */
  map: 0x08,
  /** An array item (not an object of its own). */
  set: 0x09,
  /** Source, flags. */
  regExp: 0x0a,
  /** Its text. */
  url: 0x0b,
  /** See `error-record.ts`. */
  error: 0x0c,
  /** The data that brings a ref back. */
  ref: 0x0d,
  /** The data that brings a handle back. */
  handle: 0x0e,
  /** From here on: blocks of the kinds in `BINARY_KINDS`, in that order. */
  binary: 0x20,
} as const;

type ViewConstructor = {
  new (buffer: ArrayBufferLike, byteOffset: number, length: number): ArrayBufferView;
  readonly prototype: object;
};

export interface BinaryKind {
  readonly prototype: object;
  readonly elementBytes: number;
  /** `length` counts elements. */
  readonly viewOf: (buffer: ArrayBufferLike, byteOffset: number, length: number) => unknown;
}

const view = (type: ViewConstructor, elementBytes: number): BinaryKind => ({
  prototype: type.prototype,
  elementBytes,
  viewOf: (buffer, byteOffset, length) => new type(buffer, byteOffset, length),
});

/** The index of a kind is part of the wire format: append only. */
export const BINARY_KINDS: readonly BinaryKind[] = [
  {
    prototype: Buffer.prototype,
    elementBytes: 1,
    viewOf: (buffer, byteOffset, length) => Buffer.from(buffer, byteOffset, length),
  },
  view(Uint8Array, 1),
  view(Int8Array, 1),
  view(Uint8ClampedArray, 1),
  view(Int16Array, 2),
  view(Uint16Array, 2),
  view(Int32Array, 4),
  view(Uint32Array, 4),
  view(Float32Array, 4),
  view(Float64Array, 8),
  view(BigInt64Array, 8),
  view(BigUint64Array, 8),
  view(DataView, 1),
  // An ArrayBuffer has no window, so this one is copied when it is read.
  {
    prototype: ArrayBuffer.prototype,
    elementBytes: 1,
    viewOf: (buffer, byteOffset, length) => buffer.slice(byteOffset, byteOffset + length),
  },
];

/** What the prototype of an object says about how it is written; absent for plain objects, arrays and errors. */
export type ObjectKind = 'date' | 'map' | 'set' | 'regExp' | 'url' | number;

export const KIND_OF_PROTOTYPE: ReadonlyMap<object, ObjectKind> = new Map<object, ObjectKind>([
  [Date.prototype, 'date'],
  [Map.prototype, 'map'],
  [Set.prototype, 'set'],
  [RegExp.prototype, 'regExp'],
  [URL.prototype, 'url'],
  ...BINARY_KINDS.map((kind, index): [object, ObjectKind] => [kind.prototype, index]),
]);

/** Kinds by class name, for built-in objects that come from another realm (`node:vm`). */
export const KIND_OF_CLASS_NAME: ReadonlyMap<string, ObjectKind> = new Map<string, ObjectKind>(
  [...KIND_OF_PROTOTYPE].map(([prototype, kind]) => [prototype.constructor.name, kind]),
);

/** Whether an encoded value holds refs or handles: told from its first byte, without decoding. */
export function holdsTransferables(bytes: Uint8Array): boolean {
  return ((bytes[0] ?? 0) & TRANSFERABLES_FLAG) !== 0;
}

/** What one value may be; both sides hold it to the same. */
export interface ValueLimits {
  /** Levels of nesting. */
  valueDepth: number;
  /** Size of the message; checked when it is written. */
  valueBytes: number;
  /** The same for what is encoded in parts, to be stored rather than sent. */
  storedBytes: number;
  /** Arrays, objects, maps… and bigints and strings of the extended forms; an error counts as four. */
  valueObjects: number;
  /** Elements of arrays and sets, and two for each entry of objects and maps. */
  valueElements: number;
}

export const ERROR_OBJECTS = 4;
