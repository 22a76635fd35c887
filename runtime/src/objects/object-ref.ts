import { inspect } from 'node:util';
import { ObjectFreedError } from '../errors/errors.ts';
import type { ObjectId, ProcessId } from '../ids.ts';
import { TRANSFERABLE, type Transferable } from '../serialization/transferable.ts';
import type { ProcessAddress } from '../wire/messages.ts';
import { Payload, type Primitive } from './payload.ts';

/** What a ref asks of the process it lives in (core/core-process.ts). */
export interface RefOwnerRuntime {
  mintObjectId(): ObjectId;
  decode(payload: Payload): unknown;
  /** The ref is about to leave this process inside a value: its owner must keep the object until it is taken over. */
  exportRef(ref: AnyObjectRef): { id: ObjectId; owner: ProcessAddress };
  /** Somebody here wants the value of a borrowed ref. */
  fetch(ref: AnyObjectRef): void;
  /** The user disposed of the ref. */
  dispose(ref: AnyObjectRef): void;
}

/** Told once, when the ref is ready or has failed. */
export interface RefWaiter {
  settled(ref: AnyObjectRef): void;
}

export const REF_STATE = { pending: 0, ready: 1, failed: 2 } as const;
type RefState = (typeof REF_STATE)[keyof typeof REF_STATE];

/** Any ref, where the type of its value does not matter. */
export type AnyObjectRef = ObjectRef<unknown>;

/**
 * A typed future. Awaiting it fetches the value; passing it on does not. It is a thenable that makes a promise only
 * when somebody waits: a ref that is never looked at costs one object. The value lives in the ref itself, so the
 * garbage collector frees both together and no finalizer is needed on the way of a call.
 */
export class ObjectRef<T> implements PromiseLike<T> {
  /** @internal */ readonly runtime: RefOwnerRuntime;
  /** @internal */ state: RefState = REF_STATE.pending;
  /** @internal Ready: a primitive or a Payload. Failed: the error. */
  content: unknown = undefined;
  /** @internal */ waiters: RefWaiter | RefWaiter[] | undefined = undefined;
  /** @internal Set for borrowed refs. */
  owner: ProcessAddress | undefined = undefined;
  /** @internal */ objectId: ObjectId | undefined = undefined;

  /** @internal */
  constructor(runtime: RefOwnerRuntime) {
    this.runtime = runtime;
  }

  get id(): string {
    return (this.objectId ??= this.runtime.mintObjectId());
  }

  /** @internal */
  get ownerId(): ProcessId | undefined {
    return this.owner?.processId;
  }

  /** @internal */
  resolve(content: Primitive | Payload): void {
    if (this.state !== REF_STATE.pending) return;
    this.state = REF_STATE.ready;
    this.content = content;
    this.#notify();
  }

  /** @internal */
  reject(error: unknown): void {
    if (this.state !== REF_STATE.pending) return;
    this.state = REF_STATE.failed;
    this.content = error;
    this.#notify();
  }

  /** @internal free(): the value is dropped whatever its state. */
  discard(): void {
    if (this.state === REF_STATE.pending) {
      this.reject(freedError(this));
      return;
    }
    this.state = REF_STATE.failed;
    this.content = freedError(this);
  }

  #notify(): void {
    const waiters = this.waiters;
    if (waiters === undefined) return;
    this.waiters = undefined;
    if (Array.isArray(waiters)) for (const waiter of waiters) waiter.settled(this);
    else waiters.settled(this);
  }

  /** @internal Calls the waiter at once when there is nothing to wait for. */
  addWaiter(waiter: RefWaiter): void {
    if (this.state !== REF_STATE.pending) {
      waiter.settled(this);
      return;
    }
    if (this.owner !== undefined) this.runtime.fetch(this);
    if (this.waiters === undefined) this.waiters = waiter;
    else if (Array.isArray(this.waiters)) this.waiters.push(waiter);
    else this.waiters = [this.waiters, waiter];
  }

  /** @internal */
  removeWaiter(waiter: RefWaiter): void {
    if (this.waiters === waiter) this.waiters = undefined;
    else if (Array.isArray(this.waiters))
      this.waiters = this.waiters.filter((other) => other !== waiter);
  }

  /** @internal The decoded value of a ready ref; throws the error of a failed one. */
  value(): T {
    if (this.state === REF_STATE.failed) throw this.content;
    return (
      this.content instanceof Payload ? this.runtime.decode(this.content) : this.content
    ) as T;
  }

  #promise(): Promise<T> {
    if (this.state === REF_STATE.failed) return Promise.reject(this.content as Error);
    if (this.state === REF_STATE.ready && !(this.content instanceof Payload)) {
      return Promise.resolve(this.content as T);
    }
    return new Promise((resolve, reject) => {
      this.addWaiter({
        settled: (ref) => {
          try {
            resolve(ref.value() as T);
          } catch (error) {
            reject(error as Error);
          }
        },
      });
    });
  }

  // oxlint-disable-next-line unicorn/no-thenable -- a ref is awaited: that is its contract
  then<A = T, B = never>(
    onFulfilled?: ((value: T) => A | PromiseLike<A>) | null,
    onRejected?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    return this.#promise().then(onFulfilled, onRejected);
  }

  catch<B = never>(onRejected?: ((reason: unknown) => B | PromiseLike<B>) | null): Promise<T | B> {
    return this.#promise().catch(onRejected);
  }

  finally(onFinally?: (() => void) | null): Promise<T> {
    return this.#promise().finally(onFinally);
  }

  [Symbol.dispose](): void {
    this.runtime.dispose(this as AnyObjectRef);
  }

  [TRANSFERABLE](): ReturnType<Transferable[typeof TRANSFERABLE]> {
    return { kind: 'ref', data: this.runtime.exportRef(this as AnyObjectRef) };
  }

  [inspect.custom](): string {
    const state = ['pending', 'ready', 'failed'][this.state];
    return `ObjectRef(${this.id}, ${state})`;
  }
}

function freedError(ref: AnyObjectRef): ObjectFreedError {
  return new ObjectFreedError(`Object ${ref.id} was freed.`);
}

export function isObjectRef(value: unknown): value is AnyObjectRef {
  return value instanceof ObjectRef;
}
