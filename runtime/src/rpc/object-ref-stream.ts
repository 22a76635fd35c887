import { inspect } from 'node:util';
import { ObjectRef, type Content, type RefOwnerRuntime } from '../objects/object-ref.ts';
import { DEFAULT_BUFFERED_ITEMS } from './records.ts';

/** What a stream asks of the call that feeds it. */
export interface StreamSource {
  /** Sends the call if it has not been sent because nobody asked yet. */
  grant(items: number): void;
  cancelStream(options: StreamCancelOptions): void;
}

/** About streams of tasks alone (tasks/task-submitter.ts). */
export interface StreamCancelOptions {
  force?: boolean;
  recursive?: boolean;
}

/**
 * The caller's end of a generator. Values come in order; an error that the generator threw is thrown at its place.
 * The producer may run ahead by `maxBufferedItems`; as the consumer reads, it is granted more. Leaving the loop
 * cancels the generator and frees the rest.
 */
export class ObjectRefStream<T> implements AsyncIterable<T> {
  readonly #runtime: RefOwnerRuntime;
  readonly #source: StreamSource;
  readonly #grantThreshold: number;
  readonly #buffer: ObjectRef<unknown>[] = [];
  #read = 0;
  #ungranted = 0;
  #ended = false;
  #error: { error: unknown } | undefined;
  #wake: (() => void) | undefined;
  /** @internal Items ever received: a repeated generator skips so many. */
  received = 0;

  /** @internal */
  constructor(
    runtime: RefOwnerRuntime,
    source: StreamSource,
    maxBufferedItems = DEFAULT_BUFFERED_ITEMS,
  ) {
    this.#runtime = runtime;
    this.#source = source;
    this.#grantThreshold = Math.max(1, maxBufferedItems >> 1);
  }

  /** @internal */
  push(content: Content): void {
    const ref = new ObjectRef<unknown>(this.#runtime);
    ref.resolve(content);
    this.received += 1;
    this.#buffer.push(ref);
    this.#notify();
  }

  /** @internal */
  finish(error?: { error: unknown }): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#error = error;
    this.#notify();
  }

  #notify(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }

  /** Wrapped, because a ref is a thenable and would be awaited on its way out of an async function. */
  async #next(): Promise<{ ref: ObjectRef<T> } | undefined> {
    while (this.#read === this.#buffer.length && !this.#ended) {
      const { waits } = this.#runtime;
      const wait = waits.begin();
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      waits.end(wait);
    }
    if (this.#read < this.#buffer.length) return { ref: this.#take() };
    const failure = this.#error;
    this.#error = undefined;
    if (failure !== undefined) throw failure.error;
    return undefined;
  }

  #take(): ObjectRef<T> {
    const ref = this.#buffer[this.#read];
    this.#read += 1;
    if (this.#read === this.#buffer.length || this.#read > 1024) {
      this.#buffer.splice(0, this.#read);
      this.#read = 0;
    }
    this.#ungranted += 1;
    if (!this.#ended && this.#ungranted >= this.#grantThreshold) {
      this.#source.grant(this.#ungranted);
      this.#ungranted = 0;
    }
    return ref as ObjectRef<T>;
  }

  #iterate<V>(
    resultOf: (ref: ObjectRef<T>) => IteratorYieldResult<V> | Promise<IteratorYieldResult<V>>,
  ): AsyncIterableIterator<V> {
    return {
      next: async () => {
        const entry = await this.#next();
        return entry === undefined ? { done: true, value: undefined } : resultOf(entry.ref);
      },
      return: () => {
        this.cancel();
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

  cancel(options: StreamCancelOptions = {}): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#buffer.length = 0;
    this.#read = 0;
    this.#source.cancelStream(options);
    this.#notify();
  }
}
