import { expect, it } from 'vitest';
import { startVariablesOf } from './start-variables.ts';

it('are those that a running process would not read any more', () => {
  expect(startVariablesOf(undefined)).toBeUndefined();
  expect(startVariablesOf({ PATH: '/bin', NODE_ENV: 'test', MANTA_TEST: '1' })).toBeUndefined();
  const read = { NODE_OPTIONS: '--expose-gc', LD_PRELOAD: 'a.so', UV_THREADPOOL_SIZE: '8' };
  expect(startVariablesOf({ ...read, HOME: '/' })).toEqual(read);
});
