import { inspect } from 'node:util';
import { InvalidArgumentError } from '../errors/errors.ts';

/** What a timer of the engine can hold; a longer one would fire at once. */
const TIMEOUT_MAX_MS = 2 ** 31 - 1;

/** @throws InvalidArgumentError when a timer cannot hold it. */
export function checkTimeout(timeoutMs: unknown): void {
  if (timeoutMs === undefined) return;
  if (typeof timeoutMs !== 'number' || !(timeoutMs >= 0)) {
    throw new InvalidArgumentError(
      `timeoutMs must be a number of 0 or more; got ${inspect(timeoutMs)}.`,
    );
  }
  if (timeoutMs > TIMEOUT_MAX_MS) {
    throw new InvalidArgumentError(
      `timeoutMs can be at most ${TIMEOUT_MAX_MS} (24 days); got ${timeoutMs}. Leave it out to wait without a limit.`,
    );
  }
}
