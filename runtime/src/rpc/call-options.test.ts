import { describe, expect, it } from 'vitest';
import { checkCallOptions, type CallOptions } from './call-options.ts';

describe('call options', () => {
  it.each<[keyof CallOptions, unknown, RegExp]>([
    ['maxTaskRetries', -2, /must be -1 \(without end\), 0 or more; got -2/],
    ['retryExceptions', 'Busy', /must be true, false or a list of error names; got 'Busy'/],
    ['retryExceptions', [1], /a list of error names; got \[ 1 \]/],
    ['concurrencyGroup', 7, /must be the name of a group; got 7/],
    ['timeoutMs', '5', /must be a number of milliseconds; got '5'/],
    ['timeoutMs', -1, /must be a number of 0 or more; got -1/],
    ['signal', {}, /must be an AbortSignal; got \{\}/],
    ['idempotencyKey', 7, /must be a text; got 7/],
    ['maxBufferedItems', 0, /must be 1 or more; got 0/],
  ])('%s: %j is refused, by its name', (name, value, message) => {
    const check = () => checkCallOptions({ [name]: value });
    expect(check).toThrow(expect.objectContaining({ name: 'InvalidArgumentError' }));
    expect(check).toThrow(message);
    expect(check).toThrow(name);
  });

  it('what is unknown is refused, with those that are known', () => {
    expect(() => checkCallOptions({ toString: 1 } as never)).toThrow(
      /Unknown call option "toString"; known: maxTaskRetries, .*maxBufferedItems/,
    );
  });

  it('are given back as they are when they are right; undefined counts as absent', () => {
    const options = { retryExceptions: ['Busy'], idempotencyKey: '', signal: undefined } as never;
    expect(checkCallOptions(options)).toBe(options);
  });
});
