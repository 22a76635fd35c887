import { types } from 'node:util';
import { SerializationError } from '../errors/errors.ts';

/**
 * Paths in errors: `args[0].socket`. `.name` is a property whose name is an identifier, `["a b"]` any other property,
 * `[3]` an element of an array, `.get("k")` the value of a Map under a key that is a string, number, boolean, bigint,
 * null or undefined, `.values()[3]` the value of a Map under another key, or a member of a Set, `.keys()[3]` a key of
 * a Map, `.data` what a ref or handle says of itself.
 */
const IDENTIFIER = /^[A-Za-z_$][\w$]*$/;

export const propertySegment = (key: string): string =>
  IDENTIFIER.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`;
export const elementSegment = (index: number): string => `[${index}]`;
export const memberSegment = (index: number): string => `.values()[${index}]`;
export const keySegment = (index: number): string => `.keys()[${index}]`;

export function mapValueSegment(key: unknown, index: number): string {
  if (typeof key === 'string') return `.get(${JSON.stringify(key)})`;
  if (typeof key === 'bigint') return `.get(${key}n)`;
  const isSimple = key === null || ['number', 'boolean', 'undefined'].includes(typeof key);
  return isSimple ? `.get(${Object.is(key, -0) ? '-0' : String(key)})` : memberSegment(index);
}

/** Thrown while a value is written; collects the path on its way out and becomes a SerializationError at the root. */
export class Unsendable extends Error {
  readonly reason: string;
  private readonly segments: string[] = [];

  constructor(reason: string, options?: ErrorOptions) {
    super(reason, options);
    this.reason = reason;
  }

  /** Anything thrown while the part `segment` was written: by us, or by a getter or Proxy of the user's. */
  static at(thrown: unknown, segment: string): Unsendable {
    const unsendable = Unsendable.from(thrown);
    unsendable.segments.push(segment);
    return unsendable;
  }

  static from(thrown: unknown): Unsendable {
    if (thrown instanceof Unsendable) return thrown;
    return new Unsendable(`reading it threw: ${textOf(thrown)}`, { cause: thrown });
  }

  toSerializationError(root: string): SerializationError {
    const path = root + this.segments.reverse().join('');
    const options = this.cause === undefined ? undefined : { cause: this.cause };
    return new SerializationError(`${path} cannot be sent: ${this.reason}`, path, options);
  }
}

/** A short text for anything, without trusting it. */
export function textOf(value: unknown): string {
  try {
    if (types.isNativeError(value) || value instanceof Error)
      return `${value.name}: ${value.message}`;
    return typeof value === 'object' && value !== null
      ? `an object (${classNameOf(value)})`
      : String(value);
  } catch {
    return 'something that cannot be shown';
  }
}

export function classNameOf(value: object): string {
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype === null || (typeof prototype !== 'object' && typeof prototype !== 'function'))
    return 'Object';
  const type: unknown = (prototype as { constructor?: unknown }).constructor;
  return typeof type === 'function' && type.name !== '' ? type.name : 'an unnamed class';
}

/** Why a function, symbol or object of an unknown class cannot be sent, and what to send instead. */
export function whyUnsendable(value: unknown): string {
  if (typeof value === 'function') {
    const name = value.name === '' ? '' : ` (${value.name})`;
    return `it is a function${name}; send data, and give the receiver the code`;
  }
  if (typeof value === 'symbol') return `it is a symbol (${String(value)}); send a string`;
  if (typeof value !== 'object' || value === null) return `it is a ${typeof value}`;
  if (types.isPromise(value)) return 'it is a Promise; await it first and send the result';
  if (types.isSharedArrayBuffer(value))
    return 'it is a SharedArrayBuffer; send a copy in an ArrayBuffer or a typed array';
  if (types.isWeakMap(value) || types.isWeakSet(value))
    return `it is a ${classNameOf(value)}; send a Map or a Set`;
  return `it is an instance of ${classNameOf(value)}, and class instances do not travel; send plain data, a ref or a handle`;
}
