import { inspect } from 'node:util';
import { InvalidArgumentError } from '@manta/runtime/errors/errors';
import { checkTimeout } from '@manta/runtime/time/timeout';

/**
 * What is misspelt, or belongs to another function, must not be passed over in silence.
 * @throws InvalidArgumentError when the options are no object, or naming the one that is not known.
 */
export function checkOptionNames(options: object, known: readonly string[], what: string): void {
  if (typeof options !== 'object' || options === null) {
    throw new InvalidArgumentError(
      `The ${what} options are an object with some of: ${known.join(', ')}; got ${inspect(options)}.`,
    );
  }
  for (const name of Object.keys(options)) {
    if (known.includes(name)) continue;
    throw new InvalidArgumentError(`Unknown ${what} option "${name}"; known: ${known.join(', ')}.`);
  }
}

/** @throws InvalidArgumentError as `checkOptionNames`, and when one of them is neither true nor false. */
export function checkFlags(options: object, known: readonly string[], what: string): void {
  checkOptionNames(options, known, what);
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined || typeof value === 'boolean') continue;
    throw new InvalidArgumentError(
      `The ${what} option "${name}" is true or false; got ${inspect(value)}.`,
    );
  }
}

/** @throws InvalidArgumentError as `checkOptionNames`, and when one of them is no text. */
export function checkTexts(options: object, known: readonly string[], what: string): void {
  checkOptionNames(options, known, what);
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined || (typeof value === 'string' && value !== '')) continue;
    throw new InvalidArgumentError(
      `The ${what} option "${name}" is a text; got ${inspect(value)}.`,
    );
  }
}

export interface TimeoutOptions {
  timeoutMs?: number;
}

const TIMEOUT_OPTIONS: readonly (keyof TimeoutOptions)[] = ['timeoutMs'];

/** @throws InvalidArgumentError when it is not a time limit alone, or one that no timer can hold. */
export function checkTimeoutOptions(options: TimeoutOptions, what: string): TimeoutOptions {
  checkOptionNames(options, TIMEOUT_OPTIONS, what);
  checkTimeout(options.timeoutMs);
  return options;
}
