import { ObjectRef, type AnyObjectRef, type Content } from '../objects/object-ref.ts';
import type { RefOwnerRuntime } from '../objects/object-ref.ts';
import type { CancelOptions } from './caller-core.ts';
import { DEFAULT_BUFFERED_ITEMS } from './records.ts';

/** The call that feeds a stream. */
export interface StreamSource {
  /** Lets the producer run ahead by so many more items. */
  grant(items: number): void;
  cancel(options: CancelOptions): void;
}

/** Wrapped, because a ref is a thenable and would be awaited on its way out of an async function. */
interface StreamItem {
  ref: AnyObjectRef;
}

/**
 * What a call puts the items of its stream into, and its readers (ObjectRefStream) take them out of: each item goes to
 * the reader that asked first. The producer may run ahead by `maxBufferedItems`; as items are read, it is granted more.
 */
export class StreamBuffer {
  readonly #runtime: RefOwnerRuntime;
  readonly #source: StreamSource;
  readonly #grantThreshold: number;
  readonly #items: AnyObjectRef[] = [];
  #read = 0;
  #ungranted = 0;
  #hasEnded = false;
  #error: { error: unknown } | undefined;
  /** Readers that ask for more than there is, in the order in which they asked. */
  #waiting: ((item: StreamItem | undefined) => void)[] = [];
  /** Items ever received: a repeated generator skips so many. */
  received = 0;

  constructor(
    runtime: RefOwnerRuntime,
    source: StreamSource,
    maxBufferedItems = DEFAULT_BUFFERED_ITEMS,
  ) {
    this.#runtime = runtime;
    this.#source = source;
    this.#grantThreshold = Math.max(1, maxBufferedItems >> 1);
  }

  /** Somebody is going to read. */
  opened(reader: object): void {
    if (!this.#hasEnded) this.#runtime.streams.opened(reader, this);
  }

  push(content: Content): void {
    const ref: AnyObjectRef = new ObjectRef<unknown>(this.#runtime);
    ref.resolve(content);
    this.received += 1;
    const reader = this.#waiting.shift();
    if (reader === undefined) {
      this.#items.push(ref);
      return;
    }
    reader({ ref });
    this.#countRead();
  }

  /** The call is over. What was not read stays to be read; the error comes after it. */
  finish(error?: { error: unknown }): void {
    if (this.#hasEnded) return;
    this.#error = error;
    this.#end();
  }

  /** Undefined: the stream is over. @throws what the generator threw, once. */
  async next(): Promise<StreamItem | undefined> {
    if (this.#read < this.#items.length) return { ref: this.#take() };
    if (!this.#hasEnded) {
      const { waits } = this.#runtime;
      const wait = waits.begin();
      const item = await new Promise<StreamItem | undefined>((resolve) => {
        this.#waiting.push(resolve);
      });
      waits.end(wait);
      if (item !== undefined) return item;
    }
    const failure = this.#error;
    this.#error = undefined;
    if (failure !== undefined) throw failure.error;
    return undefined;
  }

  #take(): AnyObjectRef {
    const ref = this.#items[this.#read] as AnyObjectRef;
    this.#read += 1;
    if (this.#read === this.#items.length || this.#read > 1024) {
      this.#items.splice(0, this.#read);
      this.#read = 0;
    }
    this.#countRead();
    return ref;
  }

  #countRead(): void {
    this.#ungranted += 1;
    if (this.#hasEnded || this.#ungranted < this.#grantThreshold) return;
    this.#source.grant(this.#ungranted);
    this.#ungranted = 0;
  }

  /** Ends the call and the stream, and frees what was not read; a call that is over is not touched, nor what it gave. */
  cancel(): void {
    if (this.#hasEnded) return;
    this.#freeUnread();
    this.#end();
    this.#source.cancel({});
  }

  /** As any call is cancelled: who reads on gets its TaskCancelledError. */
  abort(options: CancelOptions): void {
    if (this.#hasEnded) return;
    this.#freeUnread();
    this.#source.cancel(options);
  }

  /** Nobody reads on: the call is cancelled if it is not over, and what was not read is freed. */
  close(): void {
    this.cancel();
    this.#freeUnread();
    this.#error = undefined;
  }

  #freeUnread(): void {
    for (const ref of this.#items.splice(0).slice(this.#read)) this.#runtime.dispose(ref);
    this.#read = 0;
  }

  #end(): void {
    this.#hasEnded = true;
    this.#runtime.streams.ended(this);
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const reader of waiting) reader(undefined);
  }
}
