import { isObjectRef, REF_STATE, type AnyObjectRef } from '../objects/object-ref.ts';
import { isPrimitive, Payload, rawFormOf, recordForm } from '../objects/payload.ts';
import type { Transferable } from '../serialization/transferable.ts';
import type { ValueCodec } from '../serialization/value-codec.ts';
import { SEGMENT_THRESHOLD_BYTES } from './records.ts';

/**
 * The arguments of a call, serialised at the moment of the call. Each is a primitive, a Payload, or a ref at the top
 * level, whose value takes its place when it is there (Ray: top-level refs are awaited, nested ones passed on).
 */
export interface PreparedArguments {
  values: unknown[];
  /** Refs among `values` that are not ready. */
  dependencies: AnyObjectRef[];
  /** Refs and handles inside the payloads: held until the call is over. */
  pins: Transferable[];
}

/** @throws SerializationError naming the path of what cannot be sent, for example `args[0].socket`. */
export function prepareArguments(args: readonly unknown[], codec: ValueCodec): PreparedArguments {
  const prepared: PreparedArguments = { values: [], dependencies: [], pins: [] };
  args.forEach((arg, index) => {
    if (isPrimitive(arg)) {
      prepared.values.push(arg);
    } else if (isObjectRef(arg)) {
      prepared.values.push(arg);
      if (arg.state === REF_STATE.pending) prepared.dependencies.push(arg);
      else if (arg.content instanceof Payload) prepared.pins.push(...arg.content.transferables);
    } else if (rawFormOf(arg) !== undefined) {
      prepared.values.push(
        new Payload(new Uint8Array(arg as Uint8Array), undefined, rawFormOf(arg)),
      );
    } else {
      const { bytes, transferables } = codec.encode(arg, `args[${index}]`);
      prepared.values.push(new Payload(bytes, transferables));
      if (transferables.length > 0) prepared.pins.push(...transferables);
    }
  });
  return prepared;
}

/** The form that goes into the call record. Every ref among the values must be ready. */
export interface WireArguments {
  args: unknown[];
  segments: Uint8Array[] | undefined;
  segmentArguments: [number, number][] | undefined;
}

export function wireArguments(values: readonly unknown[]): WireArguments {
  const wire: WireArguments = { args: [], segments: undefined, segmentArguments: undefined };
  values.forEach((value, index) => {
    const content = isObjectRef(value) ? value.content : value;
    if (!(content instanceof Payload)) {
      wire.args.push(content);
    } else if (content.bytes.byteLength < SEGMENT_THRESHOLD_BYTES) {
      wire.args.push(recordForm(content));
    } else {
      wire.segments ??= [];
      wire.segmentArguments ??= [];
      wire.segmentArguments.push([index, wire.segments.length]);
      wire.segments.push(content.bytes);
      wire.args.push(null);
    }
  });
  return wire;
}

/** The error of the first dependency that failed: the call then fails with it and does not run. */
export function failedDependency(values: readonly unknown[]): { error: unknown } | undefined {
  for (const value of values) {
    if (isObjectRef(value) && value.state === REF_STATE.failed) return { error: value.content };
  }
  return undefined;
}
