import type { Clock } from '@manta/runtime/time/clock';
import { DeadlineQueue } from '../tables/deadline-queue.ts';

interface Timer {
  readonly callback: () => void;
  isCancelled: boolean;
}

/** Time that moves only when told to, and then in order: a run depends on nothing but its seed. */
export class SimClock implements Clock {
  readonly #timers = new DeadlineQueue<Timer>();
  #now = 1_000_000;

  now(): number {
    return this.#now;
  }

  after(delayMs: number, callback: () => void): () => void {
    const timer: Timer = { callback, isCancelled: false };
    this.#timers.add(this.#now + Math.max(0, delayMs), timer);
    return () => {
      timer.isCancelled = true;
    };
  }

  every(intervalMs: number, callback: () => void): () => void {
    let cancel = () => {};
    const arm = () => {
      cancel = this.after(intervalMs, () => {
        arm();
        callback();
      });
    };
    arm();
    return () => cancel();
  }

  /** Lets everything of the next `durationMs` happen; between two timers all promises settle. */
  async advance(durationMs: number, stepMs = 1): Promise<void> {
    const end = this.#now + durationMs;
    while (this.#now < end) {
      await this.#runDue();
      this.#now = Math.min(end, this.#now + stepMs);
    }
    await this.#runDue();
  }

  /** Time passes in which nobody gets to run, as when a process is stopped. */
  jump(durationMs: number): void {
    this.#now += durationMs;
  }

  async #runDue(): Promise<void> {
    for (let timer = this.#timers.takeDue(this.#now); timer !== undefined;) {
      if (!timer.isCancelled) {
        timer.callback();
        await settle();
      }
      timer = this.#timers.takeDue(this.#now);
    }
  }
}

function settle(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}
