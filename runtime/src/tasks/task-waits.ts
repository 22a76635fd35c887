/**
 * Whether the code of the task that this process runs waits for refs that are not there. Waits that an earlier task
 * left behind do not count: each wait belongs to the task that ran when it began.
 */
export class TaskWaits {
  #task = 0;
  #count = 0;
  #listener: ((isWaiting: boolean) => void) | undefined;

  /** Told when the first wait begins and when the last one ends. */
  listen(listener: (isWaiting: boolean) => void): void {
    this.#listener = listener;
  }

  /** A wait begins; the result ends it. */
  begin(): number {
    this.#count += 1;
    if (this.#count === 1) this.#listener?.(true);
    return this.#task;
  }

  end(task: number): void {
    if (task !== this.#task) return;
    this.#count -= 1;
    if (this.#count === 0) this.#listener?.(false);
  }

  /** Another task runs, or none. */
  nextTask(): void {
    this.#task += 1;
    this.#count = 0;
  }

  get isWaiting(): boolean {
    return this.#count > 0;
  }
}
