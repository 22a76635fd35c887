import { inspect } from 'node:util';
import { ObjectFreedError, ObjectStoreFullError } from '../errors/errors.ts';
import type { ObjectId, ProcessId } from '../ids.ts';
import type { OpenStreams } from '../rpc/open-streams.ts';
import { TRANSFERABLE, type Transferable } from '../serialization/transferable.ts';
import type { TaskWaits } from '../tasks/task-waits.ts';
import type { ProcessAddress } from '../wire/messages.ts';
import { Payload, type Primitive } from './payload.ts';
import { StoredValue } from './stored-value.ts';

/** What a ready ref holds. */
export type Content = Primitive | Payload | StoredValue;

/** A ref on its way to another process. */
export interface ExportedRef {
  id: ObjectId;
  owner: ProcessAddress;
  /** The owner is an agent, which has the object on its disk. */
  isDurable?: boolean;
}

/** What a ref asks of the process it lives in (core/core-process.ts). */
export interface RefOwnerRuntime {
  /** Told when code here waits for a ref: a task that does gives up its CPUs meanwhile. */
  readonly waits: TaskWaits;
  readonly streams: OpenStreams;
  mintObjectId(): ObjectId;
  decode(payload: Payload): unknown;
  /** The ref has got a value that lies in the store. */
  noteStored(ref: AnyObjectRef, stored: StoredValue): void;
  /** Undefined: its bytes must be brought into this process's reach first. */
  decodeStored(stored: StoredValue): { value: unknown } | undefined;
  /**
   * Settles when another `decodeStored` is worth a try, or the ref is not ready any more (lost, or being made again).
   * @throws ObjectStoreFullError, and what else says that the value is there but cannot be had now.
   */
  bringLocal(ref: AnyObjectRef): Promise<void>;
  /** The ref is about to leave this process inside a value: its owner must keep the object until it is taken over. */
  exportRef(ref: AnyObjectRef): ExportedRef;
  /** Somebody here wants the value of a borrowed ref. */
  fetch(ref: AnyObjectRef): void;
  /** The user is done with this ref; others may still hold theirs. */
  dispose(ref: AnyObjectRef): void;
  /** Drops the value, whoever holds refs. */
  free(ref: AnyObjectRef): void;
}

/** Who wants the value of a ref. */
export interface ValueReceiver {
  resolve(value: unknown): void;
  reject(error: unknown): void;
}

/** A value that is taken away between its arrival and its reading so often is not to be had. */
const DELIVERY_ATTEMPTS = 10;

/** Told once, when the ref is ready or has failed. */
export interface RefWaiter {
  settled(ref: AnyObjectRef): void;
}

export const REF_STATE = { pending: 0, ready: 1, failed: 2 } as const;
type RefState = (typeof REF_STATE)[keyof typeof REF_STATE];

/** Any ref, where the type of its value does not matter. */
export type AnyObjectRef = ObjectRef<unknown>;

/** Their users are done with them, submitted calls are not. */
const disposedInCalls = new Set<AnyObjectRef>();

/**
 * A typed future. Awaiting it fetches the value; passing it on does not. It is a thenable that makes a promise only
 * when somebody waits: a ref that is never looked at costs one object. The value lives in the ref itself, so the
 * garbage collector frees both together and no finalizer is needed on the way of a call.
 */
export class ObjectRef<T> implements PromiseLike<T> {
  /** @internal */ readonly runtime: RefOwnerRuntime;
  /** @internal */ state: RefState = REF_STATE.pending;
  /** @internal Ready: a Content. Failed: the error. */
  content: unknown = undefined;
  /** @internal */ waiters: RefWaiter | RefWaiter[] | undefined = undefined;
  /** @internal Set for borrowed refs. */
  owner: ProcessAddress | undefined = undefined;
  /** @internal */ objectId: ObjectId | undefined = undefined;
  /** @internal Number of the wait() that has seen it: tells duplicates. */ waitNumber = 0;
  /** @internal Submitted calls with it among their arguments that may still need its value. */
  calls = 0;

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
  resolve(content: Content): void {
    if (this.state !== REF_STATE.pending) return;
    this.state = REF_STATE.ready;
    this.content = content;
    if (typeof content === 'object' && content instanceof StoredValue)
      this.runtime.noteStored(this as AnyObjectRef, content);
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

  /** @internal A value that was there is gone; who asks from now on gets the error. */
  lose(error: unknown): void {
    if (this.state !== REF_STATE.ready) return;
    this.state = REF_STATE.failed;
    this.content = error;
  }

  /** @internal A value that was there is gone and is made again: the ref will be resolved or rejected anew. */
  reopen(): void {
    if (this.state !== REF_STATE.ready) return;
    this.state = REF_STATE.pending;
    this.content = undefined;
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

  /** @internal Whether `value` gives the value, or the error, without waiting. */
  get isHere(): boolean {
    return this.state !== REF_STATE.pending && !(this.content instanceof StoredValue);
  }

  /** @internal The decoded value of a ref that `isHere`; throws the error of a failed one. */
  value(): T {
    if (this.state === REF_STATE.failed) throw this.content;
    return (
      this.content instanceof Payload ? this.runtime.decode(this.content) : this.content
    ) as T;
  }

  /** @internal Gives the value, or the error, to the receiver: within this call when it is here. */
  deliver(receiver: ValueReceiver, attempts = DELIVERY_ATTEMPTS): void {
    if (this.state === REF_STATE.pending) {
      const { waits } = this.runtime;
      const wait = waits.begin();
      this.addWaiter({
        settled: () => {
          waits.end(wait);
          this.deliver(receiver, attempts);
        },
      });
      return;
    }
    try {
      if (!(this.content instanceof StoredValue)) {
        receiver.resolve(this.value());
        return;
      }
      const decoded = this.runtime.decodeStored(this.content);
      if (decoded !== undefined) {
        receiver.resolve(decoded.value);
        return;
      }
    } catch (error) {
      receiver.reject(error);
      return;
    }
    if (attempts === 0) {
      receiver.reject(
        new ObjectStoreFullError(
          `The value of ${this.id} was moved out of memory again each time before it could be read.`,
        ),
      );
      return;
    }
    this.runtime.bringLocal(this as AnyObjectRef).then(
      () => this.deliver(receiver, attempts - 1),
      (error: unknown) => receiver.reject(error),
    );
  }

  #promise(): Promise<T> {
    if (this.state === REF_STATE.failed) return Promise.reject(this.content as Error);
    if (this.state === REF_STATE.ready && this.isHere && !(this.content instanceof Payload)) {
      return Promise.resolve(this.content as T);
    }
    return new Promise((resolve, reject) => {
      this.deliver({ resolve: resolve as (value: unknown) => void, reject });
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

  /** @internal Such a call is over. */
  callOver(): void {
    this.calls -= 1;
    if (this.calls > 0 || disposedInCalls.size === 0) return;
    if (disposedInCalls.delete(this as AnyObjectRef)) this.runtime.dispose(this as AnyObjectRef);
  }

  /** Calls that were made with it get its value all the same: as with Ray, they hold their arguments themselves. */
  [Symbol.dispose](): void {
    if (this.calls > 0) disposedInCalls.add(this as AnyObjectRef);
    else this.runtime.dispose(this as AnyObjectRef);
  }

  [TRANSFERABLE](): ReturnType<Transferable[typeof TRANSFERABLE]> {
    return { kind: 'ref', data: this.runtime.exportRef(this as AnyObjectRef) };
  }

  /** Not the value: that may not be here, and JSON does not wait. */
  toJSON(): string {
    return `ObjectRef(${this.id})`;
  }

  [inspect.custom](): string {
    const state = ['pending', 'ready', 'failed'][this.state];
    return `ObjectRef(${this.id}, ${state})`;
  }
}

/** Without a stack: that of who lets go is of no use to who reads, and costs more than all else of a small object. */
function freedError(ref: AnyObjectRef): ObjectFreedError {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  try {
    return new ObjectFreedError(`Object ${ref.id} was freed.`);
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}

export function isObjectRef(value: unknown): value is AnyObjectRef {
  return value instanceof ObjectRef;
}
