import { MantaError } from '../errors/errors.ts';
import type { Clock } from '../time/clock.ts';

/** Before the second attempt; twice as long before each that follows, up to `delayMaxMs`. */
const FIRST_DELAY_MS = 50;

export interface Patience {
  clock: Clock;
  timeoutMs: number;
  /** Between two attempts. Default 500. */
  delayMaxMs?: number;
  /** No attempt can succeed any more. */
  isOver?: () => boolean;
}

/** True for errors that pass when a head is there again; false for what the head itself answered. */
export function isUnavailable(error: unknown): boolean {
  return MantaError.is(error, 'ClusterUnavailableError');
}

/**
 * Makes the attempt again for as long as nobody is there: a head may be being started anew, and the broker with it.
 * @param attempt is given the time that is left, in milliseconds.
 * @throws what the last attempt failed with; any other error than ClusterUnavailableError at once.
 */
export async function whileUnavailable<T>(
  attempt: (remainingMs: number) => Promise<T>,
  { clock, timeoutMs, delayMaxMs = 500, isOver }: Patience,
): Promise<T> {
  const deadline = clock.now() + timeoutMs;
  for (let delayMs = FIRST_DELAY_MS; ; delayMs = Math.min(2 * delayMs, delayMaxMs)) {
    try {
      return await attempt(Math.max(1, deadline - clock.now()));
    } catch (error) {
      const mayPass = isUnavailable(error) && isOver?.() !== true;
      if (!mayPass || clock.now() + delayMs >= deadline) throw error;
    }
    await new Promise<void>((resolve) => clock.after(delayMs, resolve));
  }
}
