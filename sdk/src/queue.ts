import { transferAs } from '@manta/runtime/core/actor-handle';
import { registerHandleWrapper } from '@manta/runtime/core/handle-wrappers';
import { GetTimeoutError, InvalidArgumentError, MantaError } from '@manta/runtime/errors/errors';
import { TRANSFERABLE, type Transferable } from '@manta/runtime/serialization/transferable';
import { QueueActorClass, type QueueActor } from './queue-actor.ts';
import type { ActorHandle, ActorOptions } from './types.ts';

interface QueueOptions {
  /** Items before put() waits; default without limit. */
  maxSize?: number;
  /** Where and how its actor runs. */
  actorOptions?: ActorOptions;
}

/** Of a queue that came from elsewhere, in the place of options. */
class ExistingActor {
  readonly handle: ActorHandle<QueueActor>;
  constructor(handle: ActorHandle<QueueActor>) {
    this.handle = handle;
  }
}

const FORM = 'queue';

/**
 * A first-in first-out queue that many actors and drivers share; it lives in an actor, and travels in arguments,
 * results and put() as handles do. Same meaning as Ray's Queue.
 */
export class Queue<T> {
  static {
    registerHandleWrapper(FORM, (handle) => {
      const existing: object = new ExistingActor(handle as ActorHandle<QueueActor>);
      return new Queue(existing);
    });
  }

  readonly #actor: ActorHandle<QueueActor>;

  /** @throws InvalidArgumentError when `maxSize` is no whole number of 0 or more. */
  constructor(options: QueueOptions = {}) {
    if (options instanceof ExistingActor) {
      this.#actor = options.handle;
      return;
    }
    const maxSize = options.maxSize ?? 0;
    if (!Number.isInteger(maxSize) || maxSize < 0)
      throw new InvalidArgumentError(`maxSize must be 0 or more; got ${maxSize}.`);
    this.#actor = QueueActorClass.options(options.actorOptions ?? {}).create(maxSize);
  }

  /** Waits for room. @throws GetTimeoutError when there is none after `timeoutMs`. */
  async put(item: T, options: { timeoutMs?: number } = {}): Promise<void> {
    await this.#within('put', options, (method) => method(item));
  }

  /** Waits for an item. @throws GetTimeoutError when there is none after `timeoutMs`. */
  async get(options: { timeoutMs?: number } = {}): Promise<T> {
    return (await this.#within('get', options, (method) => method())) as T;
  }

  async size(): Promise<number> {
    return this.#actor.size();
  }

  /** @internal */
  [TRANSFERABLE](): ReturnType<Transferable[typeof TRANSFERABLE]> {
    return transferAs(FORM, this.#actor);
  }

  async #within<M extends 'put' | 'get'>(
    name: M,
    { timeoutMs }: { timeoutMs?: number },
    call: (method: ActorHandle<QueueActor>[M]) => PromiseLike<unknown>,
  ): Promise<unknown> {
    const method = this.#actor[name];
    try {
      return await call(
        (timeoutMs === undefined
          ? method
          : method.options({ timeoutMs })) as ActorHandle<QueueActor>[M],
      );
    } catch (error) {
      if (!MantaError.is(error, 'TaskTimeoutError')) throw error;
      const state = name === 'put' ? 'full' : 'empty';
      throw new GetTimeoutError(`The queue was ${state} for ${timeoutMs} ms.`, { cause: error });
    }
  }
}
