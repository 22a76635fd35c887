import { GetTimeoutError, InvalidArgumentError, MantaError } from '@manta/runtime/errors/errors';
import { QueueActorClass, type QueueActor } from './queue-actor.ts';
import type { ActorHandle, ActorOptions } from './types.ts';

/** A first-in first-out queue that many actors and drivers share; it lives in an actor. Same meaning as Ray's Queue. */
export class Queue<T> {
  readonly #actor: ActorHandle<QueueActor>;

  /** `maxSize`: items before put() waits; default without limit. `actorOptions`: where and how its actor runs. */
  constructor(options: { maxSize?: number; actorOptions?: ActorOptions } = {}) {
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
