/** Time and timers as an argument, so that tables and simulations run without the wall clock. */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Calls back once after `delayMs`; the result cancels it. `unref`: do not keep the process alive for it. */
  after(delayMs: number, callback: () => void, options?: { unref?: boolean }): () => void;
  every(intervalMs: number, callback: () => void, options?: { unref?: boolean }): () => void;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  after(delayMs, callback, options) {
    const timer = setTimeout(callback, delayMs);
    if (options?.unref) timer.unref();
    return () => clearTimeout(timer);
  },
  every(intervalMs, callback, options) {
    const timer = setInterval(callback, intervalMs);
    if (options?.unref) timer.unref();
    return () => clearInterval(timer);
  },
};
