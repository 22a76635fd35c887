import fc from 'fast-check';
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

const at = (all: { at: number }[], index: number): number => all[index]?.at ?? 0;

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

it('a get() of a list gives its values in order, however they come, or the first error', async () => {
  const outcome = fc.record({ isReady: fc.boolean(), at: fc.nat() });
  const outcomes = fc.array(outcome, { minLength: 1, maxLength: 12 });
  await fc.assert(
    fc.asyncProperty(outcomes, fc.nat(12), async (all, before) => {
      const refs = all.map(makeRef);
      const order = [...all.keys()].sort((one, other) => at(all, one) - at(all, other));
      const settle = (index: number): void => {
        if (all[index]?.isReady) refs[index]?.resolve(index);
        else refs[index]?.reject(index);
      };
      const [early, late] = [order.slice(0, before), order.slice(before)];
      early.forEach(settle);
      const result = get(refs).then(
        (values) => ({ values }),
        (error: unknown) => ({ error }),
      );
      late.forEach(settle);
      // What has settled already is looked at in the order of the list.
      const seen = [...early.toSorted((one, other) => one - other), ...late];
      const failed = seen.find((index) => !all[index]?.isReady);
      const expected = failed === undefined ? { values: [...all.keys()] } : { error: failed };
      expect(await result).toEqual(expected);
      expect(refs.flatMap(waitersOf)).toEqual([]);
    }),
  );
});

it('a get() waits for a value anew that was lost again before all others were there', async () => {
  const [first, lost, last] = [makeRef(), makeRef(), makeRef()];
  const values = get([first, lost, last]);
  lost.resolve(2);
  lost.reopen();
  first.resolve(1);
  last.resolve(3);
  expect(waitersOf(lost)).toHaveLength(1);
  lost.resolve(4);
  expect(await values).toEqual([1, 4, 3]);
});
