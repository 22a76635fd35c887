import { expect, it } from 'vitest';
import { ObjectRef as RuntimeRef } from '@manta/runtime/objects/object-ref';
import { StoredValue } from '@manta/runtime/objects/stored-value';
import { TaskWaits } from '@manta/runtime/tasks/task-waits';
import { wait } from './wait.ts';

it('ends, though a value is taken away again each time as soon as it has come', async () => {
  let brought = 0;
  const core = {
    waits: new TaskWaits(),
    callStarted: () => undefined,
    callFinished: () => undefined,
    noteStored: () => undefined,
    bringLocal: () => {
      brought += 1;
      return Promise.resolve();
    },
  };
  const ref = new RuntimeRef<number>(core as never);
  ref.resolve(new StoredValue({} as never, undefined, [], undefined));
  const { ready } = await wait([ref]);
  expect(ready).toEqual([ref]);
  expect(brought).toBe(10);
});
