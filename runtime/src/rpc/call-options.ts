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
  /** Calls with the same key to the same actor run once; later ones get the first one's result. Not for streams. */
  idempotencyKey?: string;
  /** Streams: items that may be unread before the producer waits. Default 64. */
  maxBufferedItems?: number;
}

const KNOWN = new Set<keyof CallOptions>([
  'maxTaskRetries',
  'retryExceptions',
  'concurrencyGroup',
  'timeoutMs',
  'signal',
  'idempotencyKey',
  'maxBufferedItems',
]);

/** @throws InvalidArgumentError naming the option that is wrong. */
export function checkCallOptions(options: CallOptions): CallOptions {
  for (const key of Object.keys(options)) {
    if (!KNOWN.has(key as keyof CallOptions)) {
      throw new InvalidArgumentError(
        `Unknown call option "${key}"; known: ${[...KNOWN].join(', ')}.`,
      );
    }
  }
  const { maxTaskRetries, timeoutMs, maxBufferedItems, signal } = options;
  if (maxTaskRetries !== undefined && (!Number.isInteger(maxTaskRetries) || maxTaskRetries < -1)) {
    throw new InvalidArgumentError(
      `maxTaskRetries must be -1 (without end), 0 or more; got ${maxTaskRetries}.`,
    );
  }
  checkTimeout(timeoutMs);
  if (
    maxBufferedItems !== undefined &&
    (!Number.isInteger(maxBufferedItems) || maxBufferedItems < 1)
  ) {
    throw new InvalidArgumentError(`maxBufferedItems must be 1 or more; got ${maxBufferedItems}.`);
  }
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw new InvalidArgumentError('signal must be an AbortSignal.');
  }
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
): CallRecordOptions | undefined {
  if (options === undefined && segmentArguments === undefined) return undefined;
  return [
    options?.timeoutMs ?? null,
    options?.concurrencyGroup ?? null,
    options?.idempotencyKey ?? null,
    options?.maxBufferedItems ?? null,
    segmentArguments ?? null,
  ];
}

/** Whether the call goes again, by what its callee threw. */
export function mayRetryException(rule: boolean | string[] | undefined, error: unknown): boolean {
  if (!Array.isArray(rule)) return rule === true;
  const thrown =
    error instanceof TaskError ? (error.cause as { name?: string } | undefined) : undefined;
  return rule.includes(thrown?.name ?? '');
}
