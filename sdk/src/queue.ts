import { transferAs } from '@manta/runtime/core/actor-handle';
import { registerHandleWrapper } from '@manta/runtime/core/handle-wrappers';
import { GetTimeoutError, InvalidArgumentError } from '@manta/runtime/errors/errors';
import { TRANSFERABLE, type Transferable } from '@manta/runtime/serialization/transferable';
import { checkOptionNames, checkTimeoutOptions, type TimeoutOptions } from './option-names.ts';
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

  /** @throws InvalidArgumentError when `maxSize` is no whole number of 0 or more, or an option is not known. */
  constructor(options: QueueOptions = {}) {
    if (options instanceof ExistingActor) {
      this.#actor = options.handle;
      return;
    }
    checkOptionNames(options, ['maxSize', 'actorOptions'], 'Queue');
    const maxSize = options.maxSize ?? 0;
    if (!Number.isInteger(maxSize) || maxSize < 0)
      throw new InvalidArgumentError(`maxSize must be 0 or more; got ${maxSize}.`);
    this.#actor = QueueActorClass.options(options.actorOptions ?? {}).create(maxSize);
  }

  /**
   * Waits for room.
   * @throws GetTimeoutError when there is none after `timeoutMs`; the item is not in the queue then.
   */
  async put(item: T, options: TimeoutOptions = {}): Promise<void> {
    const { timeoutMs } = checkTimeoutOptions(options, 'Queue.put()');
    if (!(await this.#actor.put(item, timeoutMs))) throw stillIs('full', timeoutMs);
  }

  /**
   * Waits for an item.
   * @throws GetTimeoutError when there is none after `timeoutMs`; none is taken then.
   */
  async get(options: TimeoutOptions = {}): Promise<T> {
    const { timeoutMs } = checkTimeoutOptions(options, 'Queue.get()');
    const answer = await this.#actor.get(timeoutMs);
    if (answer.length === 0) throw stillIs('empty', timeoutMs);
    return answer[0] as T;
  }

  async size(): Promise<number> {
    return this.#actor.size();
  }

  /** @internal */
  [TRANSFERABLE](): ReturnType<Transferable[typeof TRANSFERABLE]> {
    return transferAs(FORM, this.#actor);
  }
}

function stillIs(state: 'empty' | 'full', timeoutMs: number | undefined): GetTimeoutError {
  return new GetTimeoutError(`The queue was ${state} for ${timeoutMs} ms.`);
}
