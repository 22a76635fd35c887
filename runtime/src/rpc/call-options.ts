import { inspect } from 'node:util';
import { InvalidArgumentError, TaskError } from '../errors/errors.ts';
import { checkTimeout } from '../time/timeout.ts';
import type { CallRecordOptions } from './records.ts';

/** Options of one call, as the public contract has them. */
export interface CallOptions {
  maxTaskRetries?: number;
  retryExceptions?: boolean | string[];
  concurrencyGroup?: string;
  /** The whole call, queueing included; then TaskTimeoutError and the callee's signal aborts. */
  timeoutMs?: number;
  signal?: AbortSignal;
  /**
   * Calls with the same key to the same actor run once; later ones get the first one's result, or its error. The actor
   * remembers its last 10,000 keys and 256 MiB of what they led to. A restart forgets them: what ran before, or was
   * running, runs again when it is repeated. So does what failed, for a caller whose `retryExceptions` repeat it. Not for streams.
   */
  idempotencyKey?: string;
  /** Streams: items that may be unread before the producer waits. Default 64. */
  maxBufferedItems?: number;
}

const isText = (value: unknown): boolean => typeof value === 'string' && value !== '';
const isFrom =
  (least: number) =>
  (value: unknown): boolean =>
    Number.isInteger(value) && (value as number) >= least;

const isExceptionRule = (value: unknown): boolean =>
  typeof value === 'boolean' || (Array.isArray(value) && value.every(isText));

/** What each option must be. */
const RULES: Record<keyof CallOptions, [isRight: (value: unknown) => boolean, what: string]> = {
  maxTaskRetries: [isFrom(-1), '-1 (without end), 0 or more'],
  retryExceptions: [isExceptionRule, 'true, false or a list of error names'],
  concurrencyGroup: [isText, 'the name of a group'],
  timeoutMs: [(value) => typeof value === 'number', 'a number of milliseconds'],
  signal: [(value) => value instanceof AbortSignal, 'an AbortSignal'],
  idempotencyKey: [(value) => typeof value === 'string', 'a text'],
  maxBufferedItems: [isFrom(1), '1 or more'],
};

/** @throws InvalidArgumentError naming the option that is wrong. */
export function checkCallOptions(options: CallOptions): CallOptions {
  for (const [name, value] of Object.entries(options)) {
    const rule = Object.hasOwn(RULES, name) ? RULES[name as keyof CallOptions] : undefined;
    if (rule === undefined) {
      const known = Object.keys(RULES).join(', ');
      throw new InvalidArgumentError(`Unknown call option "${name}"; known: ${known}.`);
    }
    const [isRight, what] = rule;
    if (value !== undefined && !isRight(value))
      throw new InvalidArgumentError(`Call option ${name} must be ${what}; got ${inspect(value)}.`);
  }
  checkTimeout(options.timeoutMs);
  return options;
}

/** The items of a stream go to one caller and are not kept, so the next one with its key could not be given them. */
export function keyedStreamError(what: string): InvalidArgumentError {
  return new InvalidArgumentError(
    `${what} gives a stream, which cannot be had twice: call it without idempotencyKey, or let it return its items in a list.`,
  );
}

/** Why a call was cancelled, where its signal says so: the reason that the user gave to `abort`. */
export function abortCause(options: CallOptions | undefined): ErrorOptions | undefined {
  const signal = options?.signal;
  return signal?.aborted === true ? { cause: signal.reason } : undefined;
}

/** For a call that is made once more, to make its lost result again: nobody waits, and nobody else may answer. */
export function optionsAgain(options: CallOptions | undefined): CallOptions | undefined {
  if (options === undefined) return undefined;
  const { timeoutMs: _timeout, signal: _signal, idempotencyKey: _key, ...kept } = options;
  return kept;
}

/** What the callee has to know; undefined when everything is as usual. */
export function recordOptions(
  options: CallOptions | undefined,
  segmentArguments: [number, number][] | undefined,
  isRetry = false,
): CallRecordOptions | undefined {
  if (options === undefined && segmentArguments === undefined) return undefined;
  return [
    options?.concurrencyGroup ?? null,
    options?.idempotencyKey ?? null,
    options?.maxBufferedItems ?? null,
    segmentArguments ?? null,
    isRetry,
  ];
}

/** Whether the call goes again, by what its callee threw. */
export function mayRetryException(rule: boolean | string[] | undefined, error: unknown): boolean {
  if (!Array.isArray(rule)) return rule === true;
  const thrown =
    error instanceof TaskError ? (error.cause as { name?: string } | undefined) : undefined;
  return rule.includes(thrown?.name ?? '');
}
