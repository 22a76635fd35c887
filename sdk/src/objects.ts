import { GetTimeoutError, InvalidArgumentError } from '@manta/runtime/errors/errors';
import { isObjectRef, REF_STATE, type AnyObjectRef } from '@manta/runtime/objects/object-ref';
import { isElsewhere } from '@manta/runtime/objects/stored-value';
import { ActorCall } from '@manta/runtime/rpc/actor-call';
import { TaskCall } from '@manta/runtime/tasks/task-call';
import { ObjectRefStream as RuntimeStream } from '@manta/runtime/rpc/object-ref-stream';
import { checkOptionNames, checkTimeoutOptions, type TimeoutOptions } from './option-names.ts';
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
  if (options !== undefined) checkOptionNames(options, ['durable'], 'put()');
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

export function coreOf(
  refs: readonly AnyObjectRef[],
): Pick<Core, 'callStarted' | 'callFinished' | 'waits'> {
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
  const values = await valuesOf(refs, options?.timeoutMs);
  return isList ? values : values[0];
}

function valuesOf(refs: AnyObjectRef[], timeoutMs: number | undefined): Promise<unknown[]> {
  return new Promise((resolve, reject) => {
    const core = coreOf(refs);
    let missing = refs.length;
    let cancelTimer: (() => void) | undefined;
    let over = false;
    const end = (settle: () => void): void => {
      if (over) return;
      over = true;
      cancelTimer?.();
      core.callFinished();
      core.waits.end(wait);
      settle();
    };
    const fail = (error: unknown): void => {
      for (const ref of refs) ref.removeWaiter(waiter);
      end(() => reject(error as Error));
    };
    const waiter = {
      settled(ref: AnyObjectRef): void {
        if (ref.state === REF_STATE.failed) {
          fail(ref.content);
          return;
        }
        missing -= 1;
        if (missing === 0 && !over)
          collectValues(refs, (values) => end(() => resolve(values)), fail);
      },
    };
    const wait = core.waits.begin();
    core.callStarted();
    for (let index = 0; index < refs.length && !over; index += 1)
      (refs[index] as AnyObjectRef).addWaiter(waiter);
    if (timeoutMs !== undefined && !over) {
      const timer = setTimeout(() => fail(timeoutError(refs, missing, timeoutMs)), timeoutMs);
      cancelTimer = () => clearTimeout(timer);
    }
  });
}

/** Of refs that are ready: large values may have to be brought to this node. */
function collectValues(
  refs: readonly AnyObjectRef[],
  done: (values: unknown[]) => void,
  fail: (error: unknown) => void,
): void {
  const values: unknown[] = [];
  let missing = 1;
  const one = (): void => {
    missing -= 1;
    if (missing === 0) done(values);
  };
  try {
    refs.forEach((ref, index) => {
      if (ref.isHere) {
        values[index] = ref.value();
        return;
      }
      missing += 1;
      ref.deliver({
        resolve: (value) => {
          values[index] = value;
          one();
        },
        reject: fail,
      });
    });
  } catch (error) {
    fail(error);
    return;
  }
  one();
}

function timeoutError(
  refs: readonly AnyObjectRef[],
  missing: number,
  timeoutMs: number,
): GetTimeoutError {
  if (missing === 0) {
    const coming = refs.filter(({ content }) => isElsewhere(content)).length;
    return new GetTimeoutError(
      `${coming} of ${refs.length} values are made, but not on this node yet after ${timeoutMs} ms.`,
    );
  }
  const pending = refs.find((ref) => ref.state === REF_STATE.pending);
  const example = pending === undefined ? '' : ` (the first: ${described(pending)})`;
  return new GetTimeoutError(
    `${missing} of ${refs.length} values are not there after ${timeoutMs} ms${example}. Ask explain(ref) what it waits for.`,
  );
}

function described(ref: AnyObjectRef): string {
  if (ref instanceof TaskCall) return `task ${ref.task.name}`;
  if (ref instanceof ActorCall) return `a call of ${ref.caller.className}.${ref.method.name}`;
  return `object ${ref.id}`;
}

/** Drops the values now, whoever holds refs; later use of a ref gives ObjectFreedError. */
// oxlint-disable-next-line typescript/no-explicit-any -- the public contract: refs of any values
export function free(refs: readonly ObjectRef<any>[]): Promise<void> {
  for (const ref of refsOf(refs, 'free()')) ref.runtime.free(ref);
  return Promise.resolve();
}

/**
 * Best effort; a finished call is not touched. Of a ref that came from another process the call there is cancelled.
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
  checkOptionNames(options, ['force', 'recursive'], 'cancel()');
  if (isObjectRef(what)) (what.runtime as unknown as Core).cancellation.cancel(what, options);
  else if (what instanceof RuntimeStream) what.cancel(options);
  else {
    throw new InvalidArgumentError(
      `cancel() takes the ref or the stream of a call; got ${nameOf(what)}.`,
    );
  }
  return Promise.resolve();
}
