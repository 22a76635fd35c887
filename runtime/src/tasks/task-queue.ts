import { TASK_PHASE, type TaskCall } from './task-call.ts';

const COMPACT_AT = 4_096;

/**
 * The tasks of one shape that are ready to run and have no worker yet, oldest first. Those that had one and go again
 * stand in front. Tasks that ended meanwhile are passed over.
 */
export class TaskQueue {
  #calls: TaskCall[] = [];
  #head = 0;
  #again: TaskCall[] = [];
  #size = 0;

  /** Tasks that wait; cancelled ones are not counted. */
  get size(): number {
    return this.#size;
  }

  push(call: TaskCall): void {
    call.phase = TASK_PHASE.queued;
    this.#calls.push(call);
    this.#size += 1;
  }

  /** In the order in which they were sent. */
  pushFirst(calls: readonly TaskCall[]): void {
    for (const call of calls) call.phase = TASK_PHASE.queued;
    this.#size += calls.length;
    this.#again = [...[...calls].reverse().filter(isQueued), ...this.#again.filter(isQueued)];
    this.#again.sort((a, b) => b.number - a.number);
  }

  /** A task in the queue has ended (cancelled, timed out). */
  ended(): void {
    this.#size -= 1;
  }

  peek(): TaskCall | undefined {
    for (let last = this.#again.at(-1); last !== undefined; last = this.#again.at(-1)) {
      if (isQueued(last)) return last;
      this.#again.pop();
    }
    while (this.#head < this.#calls.length) {
      const call = this.#calls[this.#head] as TaskCall;
      if (isQueued(call)) return call;
      this.#head += 1;
    }
    this.#calls = [];
    this.#head = 0;
    return undefined;
  }

  /** Takes what `peek` gave. */
  take(): void {
    this.#size -= 1;
    if (this.#again.length > 0) {
      this.#again.pop();
      return;
    }
    this.#head += 1;
    if (this.#head >= COMPACT_AT && this.#head * 2 > this.#calls.length) {
      this.#calls = this.#calls.slice(this.#head);
      this.#head = 0;
    }
  }

  /** Those that wait, in order. */
  waiting(): TaskCall[] {
    return [...[...this.#again].reverse(), ...this.#calls.slice(this.#head)].filter(isQueued);
  }
}

const isQueued = (call: TaskCall): boolean => call.phase === TASK_PHASE.queued;
