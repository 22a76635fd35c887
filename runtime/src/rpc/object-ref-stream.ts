import { inspect } from 'node:util';
import type { ObjectRef } from '../objects/object-ref.ts';
import type { CancelOptions } from './caller-core.ts';
import type { StreamBuffer } from './stream-buffer.ts';

/**
 * The caller's end of a generator, as its user has it. Values come in order; an error that the generator threw is thrown
 * at its place. Leaving the loop cancels the generator and frees the rest, and so does letting go of the stream: nothing
 * else here refers to it, so it is collected with the last of its iterators, which hold it.
 */
export class ObjectRefStream<T> implements AsyncIterable<T> {
  readonly #buffer: StreamBuffer;

  /** @internal */
  constructor(buffer: StreamBuffer) {
    this.#buffer = buffer;
    buffer.opened(this);
  }

  #iterate<V>(
    resultOf: (ref: ObjectRef<T>) => IteratorYieldResult<V> | Promise<IteratorYieldResult<V>>,
  ): AsyncIterableIterator<V> {
    return {
      next: async () => {
        const item = await this.#buffer.next();
        return item === undefined
          ? { done: true, value: undefined }
          : resultOf(item.ref as ObjectRef<T>);
      },
      return: () => {
        this.#buffer.close();
        return Promise.resolve({ done: true, value: undefined });
      },
      [Symbol.asyncIterator]() {
        return this;
      },
    };
  }

  /** The items as refs, so that they can be passed on without being looked at. */
  refs(): AsyncIterable<ObjectRef<T>> {
    return this.#iterate((ref) => ({ done: false, value: ref }));
  }

  [Symbol.asyncIterator](): AsyncIterator<T> {
    return this.#iterate((ref) => {
      if (ref.isHere) return { done: false, value: ref.value() };
      return new Promise<T>((resolve, reject) => {
        ref.deliver({ resolve: resolve as (value: unknown) => void, reject });
      }).then((value) => ({ done: false, value }));
    });
  }

  toJSON(): string {
    return 'ObjectRefStream';
  }

  [inspect.custom](): string {
    return this.toJSON();
  }

  /** Its reader wants no more: the stream ends. */
  cancel(): void {
    this.#buffer.cancel();
  }

  /** @internal Its readers are told so, by TaskCancelledError. */
  abort(options: CancelOptions): void {
    this.#buffer.abort(options);
  }

  /** As when its loop is left. */
  [Symbol.dispose](): void {
    this.#buffer.close();
  }
}
