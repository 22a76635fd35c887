import { expect, it } from 'vitest';
import { checkTimeout } from './timeout.ts';

it.each([undefined, 0, 0.5, 2 ** 31 - 1])('takes %s', (timeoutMs) => {
  expect(() => checkTimeout(timeoutMs)).not.toThrow();
});

it.each([-1, NaN, '5', null, {}])('refuses %s', (timeoutMs) => {
  expect(() => checkTimeout(timeoutMs)).toThrow('timeoutMs must be a number of 0 or more');
});

it.each([2 ** 31, Infinity])('refuses %s, which a timer would take for nothing', (timeoutMs) => {
  expect(() => checkTimeout(timeoutMs)).toThrow('Leave it out to wait without a limit.');
});
