import type { Clock } from '../time/clock.ts';

interface Timer {
  at: number;
  callback(): void;
  intervalMs: number | undefined;
}

/** A clock that moves when it is told to; timers run in the order of their times. */
export class ManualClock implements Clock {
  #now = 0;
  readonly #timers = new Set<Timer>();

  now(): number {
    return this.#now;
  }

  after(delayMs: number, callback: () => void): () => void {
    return this.#add({ at: this.#now + delayMs, callback, intervalMs: undefined });
  }

  every(intervalMs: number, callback: () => void): () => void {
    return this.#add({ at: this.#now + intervalMs, callback, intervalMs });
  }

  #add(timer: Timer): () => void {
    this.#timers.add(timer);
    return () => void this.#timers.delete(timer);
  }

  get pendingTimers(): number {
    return this.#timers.size;
  }

  advance(milliseconds: number): void {
    const end = this.#now + milliseconds;
    for (;;) {
      const next = [...this.#timers].filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0];
      if (next === undefined) break;
      this.#now = next.at;
      if (next.intervalMs === undefined) this.#timers.delete(next);
      else next.at += next.intervalMs;
      next.callback();
    }
    this.#now = end;
  }
}
