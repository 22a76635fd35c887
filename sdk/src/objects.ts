import { GetTimeoutError, InvalidArgumentError } from '@manta/runtime/errors/errors';
import {
  isObjectRef,
  ObjectRef as RuntimeRef,
  REF_STATE,
  type AnyObjectRef,
} from '@manta/runtime/objects/object-ref';
import { isPrimitive } from '@manta/runtime/objects/payload';
import { ActorCall } from '@manta/runtime/rpc/actor-call';
import { TaskCall } from '@manta/runtime/tasks/task-call';
import { ObjectRefStream as RuntimeStream } from '@manta/runtime/rpc/object-ref-stream';
import { currentSession } from './session.ts';
import type { ObjectRef, ObjectRefStream } from './types.ts';

/** Serialises now: later changes to `value` are not seen. @throws SerializationError naming the path of what cannot be kept. */
export function put<T>(value: T): ObjectRef<T> {
  const { core } = currentSession();
  if (isObjectRef(value)) {
    throw new InvalidArgumentError(
      'put() of a ref: pass the ref on as it is, or put the value it stands for.',
    );
  }
  const ref = new RuntimeRef<T>(core);
  if (isPrimitive(value)) {
    ref.resolve(value);
  } else {
    const { bytes, transferables } = core.codec.encode(value, 'value');
    ref.resolve(core.keepPayload(bytes, transferables));
  }
  return ref;
}

function refsOf(refs: readonly unknown[], what: string): AnyObjectRef[] {
  refs.forEach((ref, index) => {
    if (!isObjectRef(ref))
      throw new InvalidArgumentError(`${what} takes refs; item ${index} is ${typeof ref}.`);
  });
  return refs as AnyObjectRef[];
}

function coreOf(refs: readonly AnyObjectRef[]): { callStarted(): void; callFinished(): void } {
  return (
    (refs[0]?.runtime as unknown as ReturnType<typeof currentSession>['core']) ??
    currentSession().core
  );
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
export async function get(what: unknown, options: { timeoutMs?: number } = {}): Promise<unknown> {
  const isList = Array.isArray(what);
  const refs = refsOf(isList ? what : [what], 'get()');
  if (refs.length === 0) return [];
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
      settle();
    };
    const waiter = {
      settled(ref: AnyObjectRef): void {
        if (ref.state === REF_STATE.failed) {
          end(() => reject(ref.content as Error));
          return;
        }
        missing -= 1;
        if (missing === 0) end(() => resolveWithValues(refs, isList, resolve, reject));
      },
    };
    core.callStarted();
    for (const ref of refs) ref.addWaiter(waiter);
    const { timeoutMs } = options;
    if (timeoutMs !== undefined && !over) {
      const timer = setTimeout(() => {
        for (const ref of refs) ref.removeWaiter(waiter);
        end(() => reject(timeoutError(refs, missing, timeoutMs)));
      }, timeoutMs);
      cancelTimer = () => clearTimeout(timer);
    }
  });
}

function resolveWithValues(
  refs: AnyObjectRef[],
  isList: boolean,
  resolve: (value: unknown) => void,
  reject: (error: Error) => void,
): void {
  try {
    resolve(isList ? refs.map((ref) => ref.value()) : (refs[0] as AnyObjectRef).value());
  } catch (error) {
    reject(error as Error);
  }
}

function timeoutError(
  refs: readonly AnyObjectRef[],
  missing: number,
  timeoutMs: number,
): GetTimeoutError {
  const pending = refs.filter((ref) => ref.state === REF_STATE.pending);
  const example =
    pending[0] instanceof ActorCall
      ? ` (the first: a call of ${pending[0].caller.className}.${pending[0].method.name})`
      : '';
  return new GetTimeoutError(
    `${missing} of ${refs.length} values are not there after ${timeoutMs} ms${example}. Ask explain(ref) what it waits for.`,
  );
}

/**
 * Splits refs into at most `numReturns` (default 1) that are ready and the rest, in their order. A failed ref counts
 * as ready. Resolves when so many are ready, or after `timeoutMs`.
 * @throws InvalidArgumentError for duplicates, items that are no refs, or a numReturns that cannot be reached.
 */
export async function wait<T>(
  refs: readonly ObjectRef<T>[],
  options: { numReturns?: number; timeoutMs?: number; fetchLocal?: boolean } = {},
): Promise<{ ready: ObjectRef<T>[]; pending: ObjectRef<T>[] }> {
  const list = refsOf(refs, 'wait()');
  if (list.length === 0) return { ready: [], pending: [] };
  const numReturns = options.numReturns ?? 1;
  if (new Set(list).size !== list.length)
    throw new InvalidArgumentError('wait() was given the same ref twice.');
  if (!Number.isInteger(numReturns) || numReturns < 1 || numReturns > list.length) {
    throw new InvalidArgumentError(
      `numReturns must be between 1 and the number of refs (${list.length}); got ${numReturns}.`,
    );
  }
  return new Promise((resolve) => {
    const core = coreOf(list);
    let over = false;
    let missing = numReturns;
    let cancelTimer: (() => void) | undefined;
    const end = (): void => {
      if (over) return;
      over = true;
      cancelTimer?.();
      for (const ref of list) ref.removeWaiter(waiter);
      core.callFinished();
      resolve(split(refs, list, numReturns));
    };
    const waiter = {
      settled(): void {
        missing -= 1;
        if (missing === 0) end();
      },
    };
    core.callStarted();
    const readyNow = list.filter((ref) => ref.state !== REF_STATE.pending).length;
    if (readyNow >= numReturns) {
      end();
      return;
    }
    missing -= readyNow;
    for (const ref of list) if (ref.state === REF_STATE.pending) ref.addWaiter(waiter);
    if (options.timeoutMs !== undefined && !over) {
      const timer = setTimeout(end, options.timeoutMs);
      cancelTimer = () => clearTimeout(timer);
    }
  });
}

function split<T>(
  refs: readonly ObjectRef<T>[],
  list: readonly AnyObjectRef[],
  numReturns: number,
): { ready: ObjectRef<T>[]; pending: ObjectRef<T>[] } {
  const ready: ObjectRef<T>[] = [];
  const pending: ObjectRef<T>[] = [];
  refs.forEach((ref, index) => {
    const isReady = list[index]?.state !== REF_STATE.pending && ready.length < numReturns;
    (isReady ? ready : pending).push(ref);
  });
  return { ready, pending };
}

/** Drops the values now, whoever holds refs; later use of a ref gives ObjectFreedError. */
// oxlint-disable-next-line typescript/no-explicit-any -- the public contract: refs of any values
export function free(refs: readonly ObjectRef<any>[]): Promise<void> {
  for (const ref of refsOf(refs, 'free()')) ref.runtime.dispose(ref);
  return Promise.resolve();
}

/**
 * Best effort; a finished call is not touched.
 * @param options about tasks alone, an actor's process is not killed for one call: `force` kills the worker of a
 *   running task (its other tasks go elsewhere); `recursive` (default true) cancels what the task has submitted too.
 */
export function cancel(
  // oxlint-disable-next-line typescript/no-explicit-any -- the public contract: refs of any values
  what: ObjectRef<any> | ObjectRefStream<any>,
  options: { force?: boolean; recursive?: boolean } = {},
): Promise<void> {
  if (what instanceof TaskCall) what.task.submitter.cancel(what, options);
  else if (what instanceof RuntimeStream) what.cancel();
  else if (what instanceof ActorCall) what.caller.cancel(what, 'cancelled');
  else if (!isObjectRef(what))
    throw new InvalidArgumentError('cancel() takes the ref or the stream of a call.');
  return Promise.resolve();
}
