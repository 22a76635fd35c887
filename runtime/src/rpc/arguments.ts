import { STORED_BYTES_MIN } from '../objects/blob.ts';
import { isObjectRef, REF_STATE, type AnyObjectRef } from '../objects/object-ref.ts';
import { isPrimitive, Payload, rawFormOf, recordForm } from '../objects/payload.ts';
import { StoredValue, type StoredRecord } from '../objects/stored-value.ts';
import type { ProcessId } from '../ids.ts';
import type { Transferable } from '../serialization/transferable.ts';
import type { EncodedParts, ValueCodec } from '../serialization/value-codec.ts';
import { joinParts } from '../serialization/value-parts.ts';
import { LIMITS } from '../wire/limits.ts';
import { oversizeError } from './message-bytes.ts';
import { SEGMENT_THRESHOLD_BYTES } from './records.ts';

/** Attached to one record: as many more may stand in the frame before it. */
const SEGMENTS_MAX = LIMITS.frameSegments / 2;

/**
 * The arguments of a call, serialised at the moment of the call. Each is a primitive, a Payload, or a ref: one at the
 * top level, whose value takes its place when it is there (Ray: top-level refs are awaited, nested ones passed on), or
 * one of this call's own, for a value that is large.
 */
export interface PreparedArguments {
  values: unknown[];
  /** Refs among `values` that are not ready. */
  dependencies: AnyObjectRef[];
  /** Refs and handles inside the payloads, and refs of the call's own: held until the call is over (`unpin`). */
  pins: Transferable[];
}

/** What preparing asks of the process. */
export interface ArgumentKeeper {
  readonly codec: ValueCodec;
  /** A large value, in the store of the node where there is one; freed by `unpin`. @throws ObjectStoreFullError */
  keepArgument(encoded: EncodedParts): AnyObjectRef;
}

/**
 * The call holds the refs among the values until `releaseArguments`.
 * @throws SerializationError naming the path of what cannot be sent, for example `args[0].socket`.
 * ObjectStoreFullError: too much waits for room in the store.
 */
export function prepareArguments(
  args: readonly unknown[],
  keeper: ArgumentKeeper,
): PreparedArguments {
  const prepared: PreparedArguments = { values: [], dependencies: [], pins: [] };
  args.forEach((arg, index) => {
    if (isPrimitive(arg)) {
      prepared.values.push(arg);
    } else if (isObjectRef(arg)) {
      prepared.values.push(arg);
      if (arg.state === REF_STATE.pending) prepared.dependencies.push(arg);
    } else if (rawFormOf(arg) !== undefined) {
      prepared.values.push(
        new Payload(new Uint8Array(arg as Uint8Array), undefined, rawFormOf(arg)),
      );
    } else {
      prepareValue(keeper.codec.encodeParts(arg, `args[${index}]`), prepared, keeper);
    }
  });
  holdArguments(prepared.values);
  return prepared;
}

/** The refs among the values keep theirs while the call may need them, whatever their users do but `free`. */
export function holdArguments(values: readonly unknown[]): void {
  for (const value of values) if (isObjectRef(value)) value.calls += 1;
}

export function releaseArguments(values: readonly unknown[]): void {
  for (const value of values) if (isObjectRef(value)) value.callOver();
}

function prepareValue(
  encoded: EncodedParts,
  prepared: PreparedArguments,
  keeper: ArgumentKeeper,
): void {
  const { parts, sizeBytes, transferables } = encoded;
  if (sizeBytes < STORED_BYTES_MIN) {
    prepared.values.push(new Payload(joinParts(parts, sizeBytes), transferables));
    if (transferables.length > 0) prepared.pins.push(...transferables);
    return;
  }
  const ref = keeper.keepArgument(encoded);
  prepared.values.push(ref);
  prepared.pins.push(ref);
  if (ref.state === REF_STATE.pending) prepared.dependencies.push(ref);
}

/** The form that goes into the call record. Every ref among the values must be ready. */
export interface WireArguments {
  args: unknown[];
  segments: Uint8Array[] | undefined;
  segmentArguments: [number, number][] | undefined;
}

/** What sending asks of the process. */
export interface ArgumentSender {
  describe(stored: StoredValue): StoredRecord;
  /** The refs of ours in a value that goes to `borrower`. */
  lend(pins: readonly Transferable[], borrower: ProcessId): void;
}

/** Refs in the values of refs are lent here; those in `PreparedArguments.pins` are lent by the caller of this. */
export function wireArguments(
  values: readonly unknown[],
  sender: ArgumentSender,
  receiver: ProcessId,
): WireArguments {
  const wire: WireArguments = { args: [], segments: undefined, segmentArguments: undefined };
  values.forEach((value, index) => {
    const isRef = isObjectRef(value);
    const content = isRef ? value.content : value;
    if (content instanceof Payload) {
      if (isRef) sender.lend(content.transferables, receiver);
      addPayload(wire, content, index);
    } else if (content instanceof StoredValue) {
      sender.lend(content.transferables, receiver);
      wire.args.push(sender.describe(content));
    } else {
      wire.args.push(content);
    }
  });
  return wire;
}

function addPayload(wire: WireArguments, payload: Payload, index: number): void {
  const isFull = wire.segments?.length === SEGMENTS_MAX;
  if (isFull || payload.bytes.byteLength < SEGMENT_THRESHOLD_BYTES) {
    wire.args.push(recordForm(payload));
    return;
  }
  wire.segments ??= [];
  wire.segmentArguments ??= [];
  wire.segmentArguments.push([index, wire.segments.length]);
  wire.segments.push(payload.bytes);
  wire.args.push(null);
}

/** The refs among the values that are not ready: they were not at the call, or are being made again. */
export function pendingDependencies(values: readonly unknown[]): AnyObjectRef[] {
  return values.filter(isObjectRef).filter(({ state }) => state === REF_STATE.pending);
}

/**
 * Why the call fails and does not run: a dependency has failed, or the arguments do not fit into one message together.
 * Texts and numbers are too short to count.
 */
export function refusedArguments(values: readonly unknown[]): { error: unknown } | undefined {
  let sizeBytes = 0;
  for (const value of values) {
    const content = isObjectRef(value) ? value.content : value;
    if (content instanceof Payload) sizeBytes += content.bytes.byteLength;
  }
  const error = oversizeError(sizeBytes, 'args');
  return failedDependency(values) ?? (error === undefined ? undefined : { error });
}

/** The error of the first dependency that failed. */
export function failedDependency(values: readonly unknown[]): { error: unknown } | undefined {
  for (const value of values) {
    if (isObjectRef(value) && value.state === REF_STATE.failed) return { error: value.content };
  }
  return undefined;
}
