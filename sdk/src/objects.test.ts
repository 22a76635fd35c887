import { expect, it } from 'vitest';
import { ObjectRef as RuntimeRef } from '@manta/runtime/objects/object-ref';
import { StoredValue } from '@manta/runtime/objects/stored-value';
import { TaskWaits } from '@manta/runtime/tasks/task-waits';
import { get } from './objects.ts';

const never = new Promise<never>(() => undefined);
const core = {
  waits: new TaskWaits(),
  callStarted: () => undefined,
  callFinished: () => undefined,
  mintObjectId: () => 'o_0000000000000000',
  noteStored: () => undefined,
  decodeStored: () => undefined,
  bringLocal: () => never,
};
const makeRef = (): RuntimeRef<number> => new RuntimeRef<number>(core as never);
const waitersOf = (ref: RuntimeRef<number>): unknown[] =>
  [ref.waiters].flat().filter((waiter) => waiter !== undefined);

it('a get() that fails waits for nothing any more', async () => {
  const [first, failing, last] = [makeRef(), makeRef(), makeRef()];
  const values = get([first, failing, last]);
  expect(waitersOf(last)).toHaveLength(1);
  failing.reject(new Error('no value'));
  await expect(values).rejects.toThrow('no value');
  expect([first, last].flatMap(waitersOf)).toEqual([]);
  // It has failed before it is asked for.
  await expect(get([first, failing, last])).rejects.toThrow('no value');
  await expect(get([first, last], { timeoutMs: 0 })).rejects.toThrow('2 of 2 values are not there');
  expect([first, last].flatMap(waitersOf)).toEqual([]);
});

it('a get() that takes too long says so of values that are on their way', async () => {
  const [here, coming] = [makeRef(), makeRef()];
  here.resolve(1);
  coming.resolve(new StoredValue({} as never, undefined, [], undefined));
  const values = get([here, coming], { timeoutMs: 1 });
  await expect(values).rejects.toThrow('1 of 2 values are made, but not on this node yet');
});
