/** Items that were pushed and not read yet, as an async iterable for one reader. An end or a failure comes after them. */
export class StreamBuffer implements AsyncIterable<unknown> {
  #items: unknown[] = [];
  #ending: { failed: false } | { failed: true; error: unknown } | undefined;
  #wake: (() => void) | undefined;

  push(item: unknown): void {
    if (this.#ending !== undefined) return;
    this.#items.push(item);
    this.#wake?.();
  }

  end(): void {
    this.#ending ??= { failed: false };
    this.#wake?.();
  }

  fail(error: unknown): void {
    this.#ending ??= { failed: true, error };
    this.#wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<unknown, void, undefined> {
    for (;;) {
      const items = this.#items;
      this.#items = [];
      yield* items;
      if (this.#items.length > 0) continue;
      if (this.#ending?.failed === true) throw this.#ending.error;
      if (this.#ending !== undefined) return;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}
