/** While work is pending, one timer keeps the process alive. */
const KEEP_ALIVE_MS = 2 ** 30;

/** Keeps the process alive as long as calls of it are under way. */
export class PendingWork {
  #count = 0;
  #timer: NodeJS.Timeout | undefined;

  started(): void {
    this.#count += 1;
    if (this.#count > 1) return;
    this.#timer ??= setInterval(() => undefined, KEEP_ALIVE_MS);
    this.#timer.ref();
  }

  finished(): void {
    this.#count -= 1;
    if (this.#count === 0) this.#timer?.unref();
  }

  close(): void {
    clearInterval(this.#timer);
  }
}
