import type { Transferable } from '../serialization/transferable.ts';

/**
 * A value in encoded form: how objects are kept and passed on. Decoding happens when somebody looks, so that a value
 * that is only handed from actor to actor is never decoded on the way.
 */
export class Payload {
  readonly bytes: Uint8Array;
  /** The refs and handles inside, held so that they live as long as the value. */
  readonly transferables: readonly Transferable[];

  constructor(bytes: Uint8Array, transferables: readonly Transferable[] = []) {
    this.bytes = bytes;
    this.transferables = transferables;
  }
}

/** Travels as itself, without the codec. */
export type Primitive = null | undefined | boolean | number | string;

export function isPrimitive(value: unknown): value is Primitive {
  switch (typeof value) {
    case 'string':
    case 'number':
    case 'boolean':
    case 'undefined':
      return true;
    default:
      return value === null;
  }
}
