import { LIMITS } from '../wire/limits.ts';
import type { Transferable } from './transferable.ts';
import { Unsendable } from './unsendable.ts';
import type { ValueSource } from './value-source.ts';
import { ValueReader, type Revive } from './value-reader.ts';
import type { ValueLimits } from './value-format.ts';
import type { EncodedParts } from './value-parts.ts';
import { ValueWriter } from './value-writer.ts';

export type { EncodedParts };

export interface EncodedValue {
  bytes: Uint8Array;
  /** The refs and handles that were met, each once, so that the sender can pin them until the receiver holds them. */
  transferables: Transferable[];
}

/**
 * Turns values into bytes and back.
 *
 * Carried exactly, with their type, shared parts and cycles: undefined, null, booleans, numbers (-0, NaN and ±Infinity
 * too), strings (lone surrogates too), bigints, Date, RegExp, URL, Map, Set, arrays, plain objects, typed arrays,
 * DataView, ArrayBuffer, Buffer, errors (see `error-codec.ts`), refs and handles. Differences that remain: holes in
 * arrays become undefined and named properties of arrays are dropped; objects without prototype get the usual one;
 * properties under symbols and non-enumerable ones are left out; `lastIndex` of a RegExp starts at 0; two typed arrays
 * over one ArrayBuffer become independent of each other; a view of shared memory is sent as a copy of what it shows.
 *
 * Binary data is a view of the bytes given to `decode`, without a copy, when those start at a multiple of 8 in their
 * ArrayBuffer (else of its element size); else it is copied. So those bytes must not be changed afterwards, `.buffer`
 * of such a view is the buffer of the whole message (use byteOffset and byteLength), and it stays in memory for as long
 * as the view does. Only an ArrayBuffer is always a copy, of exactly its bytes.
 */
export interface ValueCodec {
  /**
   * Serialises now: later changes to value are not seen. `path` is the root used in errors: 'args' gives
   * `args[0].socket`; the grammar of paths is in `unsendable.ts`.
   * @throws SerializationError naming the path of what cannot be sent.
   */
  encode(value: unknown, path: string): EncodedValue;
  /**
   * As `encode`, but without copying large binary data. Values up to `limits.storedBytes`.
   * @throws SerializationError
   */
  encodeParts(value: unknown, path: string): EncodedParts;
  /**
   * With `source`, `bytes` may be only the beginning of the value. Binary data of at least 4 KiB gets an ArrayBuffer of its own from there, an ArrayBuffer too, and
   * smaller data is copied, so that nothing keeps or shows the buffer of the whole message.
   * @throws ProtocolError when the bytes are not a value; a MantaError that `revive` or `source` threw.
   */
  decode(bytes: Uint8Array, source?: ValueSource): unknown;
}

export interface ValueCodecOptions {
  /** Brings a ref or handle back to life from the data it gave. Anything thrown but a MantaError becomes a ProtocolError. */
  revive: Revive;
  /** Told of the refs and handles that were met in a value that then could not be encoded. */
  abandon?(transferables: readonly Transferable[]): void;
  /** False: refs and handles cannot be sent. Default true. */
  acceptsTransferables?: boolean;
  /** Defaults: those of `LIMITS`; `valueBytes` is `LIMITS.frameBytes`, `storedBytes` is `LIMITS.storedValueBytes`. */
  limits?: Partial<ValueLimits>;
}

export function createValueCodec(options: ValueCodecOptions): ValueCodec {
  const limits: ValueLimits = {
    valueDepth: LIMITS.valueDepth,
    valueBytes: LIMITS.frameBytes,
    storedBytes: LIMITS.storedValueBytes,
    valueObjects: LIMITS.valueObjects,
    valueElements: LIMITS.valueElements,
    ...options.limits,
  };
  const acceptsTransferables = options.acceptsTransferables ?? true;
  const writers = new Pool(() => new ValueWriter());
  const readers = new Pool(() => new ValueReader(options.revive));
  return {
    encode(value, path) {
      const writer = writers.take();
      try {
        const bytes = writer.encode(value, limits, acceptsTransferables);
        return { bytes, transferables: writer.takeTransferables() };
      } catch (error) {
        options.abandon?.(writer.takeTransferables());
        throw Unsendable.from(error).toSerializationError(path);
      } finally {
        writers.giveBack(writer);
      }
    },
    encodeParts(value, path) {
      const writer = writers.take();
      try {
        return writer.encodeParts(value, limits, acceptsTransferables);
      } catch (error) {
        options.abandon?.(writer.takeTransferables());
        throw Unsendable.from(error).toSerializationError(path);
      } finally {
        writers.giveBack(writer);
      }
    },
    decode(bytes, source) {
      const reader = readers.take();
      try {
        return reader.decode(bytes, limits, source);
      } finally {
        readers.giveBack(reader);
      }
    },
  };
}

/** Keeps one worker at hand. Another is made when code that runs within a worker (a getter, `revive`) needs one. */
class Pool<T> {
  private idle: T | undefined;
  private readonly make: () => T;

  constructor(make: () => T) {
    this.make = make;
  }

  take(): T {
    const worker = this.idle ?? this.make();
    this.idle = undefined;
    return worker;
  }

  giveBack(worker: T): void {
    this.idle = worker;
  }
}
