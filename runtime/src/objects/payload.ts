// The global of this name is a getter, and this is on the way of every call.
import { Buffer } from 'node:buffer';
import type { Transferable } from '../serialization/transferable.ts';

/** Bytes up to this size travel and rest as they are, without the codec: the most common small results. */
export const RAW_BYTES_MAX = 1024;

export type PayloadForm =
  /** Encoded by the value codec. */
  | 'value'
  /** The bytes themselves: a Uint8Array, or a Buffer. */
  | 'bytes'
  | 'buffer';

/**
 * A value in encoded form: how objects are kept and passed on. Decoding happens when somebody looks, so that a value
 * that is only handed from actor to actor is never decoded on the way.
 */
export class Payload {
  readonly bytes: Uint8Array;
  /** The refs and handles inside, held so that they live as long as the value. */
  readonly transferables: readonly Transferable[];
  readonly form: PayloadForm;

  constructor(
    bytes: Uint8Array,
    transferables: readonly Transferable[] = NONE,
    form: PayloadForm = 'value',
  ) {
    this.bytes = bytes;
    this.transferables = transferables;
    this.form = form;
  }
}

const NONE: readonly Transferable[] = [];

/** A text of more characters may be as large as what goes to the store, and is treated like any other value. */
const TEXT_LENGTH_MAX = 32 * 1024;

/** Travels as itself, without the codec. */
export type Primitive = null | undefined | boolean | number | string;

export function isPrimitive(value: unknown): value is Primitive {
  switch (typeof value) {
    case 'string':
      // UTF-8 has no halves of characters: the codec has another form for such texts.
      return value.length <= TEXT_LENGTH_MAX && value.isWellFormed();
    case 'number':
    case 'boolean':
    case 'undefined':
      return true;
    default:
      return value === null;
  }
}

/** The form in which small bytes are sent as they are; undefined for everything else. */
export function rawFormOf(value: unknown): 'bytes' | 'buffer' | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { constructor } = value;
  if (constructor !== Uint8Array && constructor !== Buffer) return undefined;
  if ((value as Uint8Array).byteLength > RAW_BYTES_MAX) return undefined;
  return constructor === Buffer ? 'buffer' : 'bytes';
}

/** How a payload stands in a record: encoded values as bytes, raw ones in a list of their own. */
export function recordForm(payload: Payload): Uint8Array | unknown[] {
  return payload.form === 'value' ? payload.bytes : rawRecord(payload.bytes, payload.form);
}

export function rawRecord(bytes: Uint8Array, form: 'bytes' | 'buffer'): unknown[] {
  return form === 'buffer' ? [bytes, 1] : [bytes];
}

/** Undoes `rawRecord`: undefined when the list is not one. */
export function rawPayload(list: readonly unknown[]): Payload | undefined {
  const bytes = list[0];
  if (!(bytes instanceof Uint8Array) || list.length > 2) return undefined;
  return new Payload(bytes, NONE, list.length === 2 ? 'buffer' : 'bytes');
}

/**
 * The bytes of a raw payload, as a copy: a Buffer from Node's pool, as `Buffer.from` makes it; a Uint8Array of exactly
 * its bytes.
 */
export function rawValue(payload: Payload): Uint8Array {
  return payload.form === 'buffer' ? Buffer.from(payload.bytes) : new Uint8Array(payload.bytes);
}
