import { defineActor } from './define-actor.ts';
import type { RuntimeContext } from './types.ts';
import { runtimeContext } from './actors.ts';

type Waiter = { resume: () => void; signal: RuntimeContext['signal'] };

/** The actor behind a Queue: a bounded list, and those who wait for room or for items, first come first served. */
export class QueueActor {
  readonly #items: unknown[] = [];
  readonly #maxSize: number;
  readonly #getters: Waiter[] = [];
  readonly #putters: Waiter[] = [];

  constructor(maxSize: number) {
    this.#maxSize = maxSize;
  }

  async put(item: unknown): Promise<void> {
    const { signal } = runtimeContext();
    while (this.#maxSize > 0 && this.#items.length >= this.#maxSize) {
      if (!(await turnOf(this.#putters, signal))) return;
    }
    this.#items.push(item);
    wakeFirst(this.#getters);
  }

  async get(): Promise<unknown> {
    const { signal } = runtimeContext();
    while (this.#items.length === 0) {
      if (!(await turnOf(this.#getters, signal))) return undefined;
    }
    if (signal.aborted) {
      wakeFirst(this.#getters);
      return undefined;
    }
    const item = this.#items.shift();
    wakeFirst(this.#putters);
    if (this.#items.length > 0) wakeFirst(this.#getters);
    return item;
  }

  size(): number {
    return this.#items.length;
  }
}

/** False when the caller gave up before its turn came. */
function turnOf(line: Waiter[], signal: AbortSignal): Promise<boolean> {
  return new Promise((resolve) => {
    const leave = (): void => {
      const index = line.indexOf(waiter);
      if (index !== -1) line.splice(index, 1);
      resolve(false);
    };
    const waiter: Waiter = {
      resume: () => {
        signal.removeEventListener('abort', leave);
        resolve(true);
      },
      signal,
    };
    if (signal.aborted) {
      resolve(false);
      return;
    }
    signal.addEventListener('abort', leave, { once: true });
    line.push(waiter);
  });
}

function wakeFirst(line: Waiter[]): void {
  line.shift()?.resume();
}

export const QueueActorClass = defineActor(import.meta, QueueActor, { maxConcurrency: 10_000 });
