import { InvalidArgumentError } from '@manta/runtime/errors/errors';
import { isObjectRef, type AnyObjectRef } from '@manta/runtime/objects/object-ref';
import { ObjectRefStream as RuntimeStream } from '@manta/runtime/rpc/object-ref-stream';
import { valuesOf, type WaitingCore } from './list-get.ts';
import { checkFlags, checkTimeoutOptions, type TimeoutOptions } from './option-names.ts';
import { currentSession } from './session.ts';
import type { ObjectRef, ObjectRefStream } from './types.ts';

export interface PutOptions {
  /**
   * The node's agent owns the object and keeps it on its disk: it survives this process, and stays until it is freed
   * or the cluster ends. It is lost with that machine. Default false.
   */
  durable?: boolean;
}

/**
 * Serialises now: later changes to `value` are not seen. Large values go to the shared memory of the node; without room
 * there the ref is pending until the value is stored.
 * @throws SerializationError naming the path of what cannot be kept. ObjectStoreFullError: values of more than 256 MiB
 * (or the size of the store) wait for room already.
 */
export function put<T>(value: T, options?: PutOptions): ObjectRef<T> {
  if (options !== undefined) checkFlags(options, ['durable'], 'put()');
  const { core } = currentSession();
  if (options?.durable === true) return core.owned.putDurable(value);
  if (isObjectRef(value)) {
    throw new InvalidArgumentError(
      'put() of a ref: pass the ref on as it is, or put the value it stands for.',
    );
  }
  return core.owned.put(value, 'value');
}

/** @throws InvalidArgumentError when it is no list, or naming the item that is no ref. */
export function refsOf(refs: unknown, what: string): AnyObjectRef[] {
  if (!Array.isArray(refs))
    throw new InvalidArgumentError(`${what} takes a list of refs; got ${nameOf(refs)}.`);
  refs.forEach((ref: unknown, index) => {
    if (!isObjectRef(ref))
      throw new InvalidArgumentError(`${what} takes refs; item ${index} is ${nameOf(ref)}.`);
  });
  return refs as AnyObjectRef[];
}

/** What somebody gave in place of a ref. */
export function nameOf(value: unknown): string {
  if (isObjectRef(value)) return 'one ref';
  if (value instanceof RuntimeStream)
    return 'a stream: iterate over it, or over its refs() for the ref of each item';
  if (value instanceof Promise) return 'a Promise: await it';
  if (Array.isArray(value)) return 'a list';
  return value === null ? 'null' : typeof value;
}

type Core = ReturnType<typeof currentSession>['core'];

export function coreOf(refs: readonly AnyObjectRef[]): WaitingCore {
  return (refs[0]?.runtime as unknown as Core) ?? currentSession().core;
}

export function get<T>(ref: ObjectRef<T>, options?: { timeoutMs?: number }): Promise<T>;
// oxlint-disable-next-line typescript/no-explicit-any -- the public contract: refs of any values
export function get<const T extends readonly ObjectRef<any>[]>(
  refs: T,
  options?: { timeoutMs?: number },
): Promise<{ -readonly [I in keyof T]: T[I] extends ObjectRef<infer V> ? V : never }>;
/**
 * The value of a ref, or the values of a list in its order.
 * @throws the error of the first ref that fails; GetTimeoutError after `timeoutMs` (0 asks once).
 */
export async function get(what: unknown, options?: TimeoutOptions): Promise<unknown> {
  if (options !== undefined) checkTimeoutOptions(options, 'get()');
  // The most common case makes nothing but the promise.
  if (isObjectRef(what) && what.isHere) return what.value();
  const isList = Array.isArray(what);
  if (!isList && !isObjectRef(what))
    throw new InvalidArgumentError(`get() takes a ref or a list of refs; got ${nameOf(what)}.`);
  const refs = refsOf(isList ? what : [what], 'get()');
  if (refs.length === 0) return [];
  const values = await valuesOf(coreOf(refs), refs, options?.timeoutMs);
  return isList ? values : values[0];
}

/** Drops the values now, whoever holds refs; later use of a ref gives ObjectFreedError. */
// oxlint-disable-next-line typescript/no-explicit-any -- the public contract: refs of any values
export function free(refs: readonly ObjectRef<any>[]): Promise<void> {
  for (const ref of refsOf(refs, 'free()')) ref.runtime.free(ref);
  return Promise.resolve();
}

/**
 * Best effort; a finished call is not touched. The ref, or who reads on in the stream, gets a TaskCancelledError
 * (`stream.cancel()`, by its reader, just ends it). Of a ref that came from another process the call there is cancelled.
 * @param options `recursive` (default true) cancels what the call or task has submitted too; of an actor that runs
 *   several calls at a time what a call submitted before its first await or, where `runtimeContext()` has been used, all.
 *   `force` kills the worker of a running task (its other tasks go elsewhere); an actor's process is not killed for one
 *   call.
 */
export function cancel(
  // oxlint-disable-next-line typescript/no-explicit-any -- the public contract: refs of any values
  what: ObjectRef<any> | ObjectRefStream<any>,
  options: { force?: boolean; recursive?: boolean } = {},
): Promise<void> {
  checkFlags(options, ['force', 'recursive'], 'cancel()');
  if (isObjectRef(what)) (what.runtime as unknown as Core).cancellation.cancel(what, options);
  else if (what instanceof RuntimeStream) what.abort(options);
  else {
    throw new InvalidArgumentError(
      `cancel() takes the ref or the stream of a call; got ${nameOf(what)}.`,
    );
  }
  return Promise.resolve();
}
