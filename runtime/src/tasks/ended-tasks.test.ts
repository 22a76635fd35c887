import { describe, expect, it } from 'vitest';
import type { JobId } from '../ids.ts';
import { EndedTasks } from './ended-tasks.ts';
import type { TaskCall } from './task-call.ts';

const LABEL = { name: 'run', jobId: 'j_1' as JobId };
const call = (number: number): TaskCall =>
  ({ number, task: { label: LABEL } }) as unknown as TaskCall;

describe('ended tasks', () => {
  it('are told with where they ran and what they failed with, the latest first', () => {
    const ended = new EndedTasks();
    ended.addFinished(call(1), 'n_1');
    ended.addFinished(call(2), undefined);
    ended.addFailed(call(3), 'n_1', new RangeError('x'.repeat(1_000)));
    ended.addFailed(call(4), undefined, 'a text');
    expect([...ended.finished()]).toMatchObject([
      { number: 2, nodeId: undefined },
      { number: 1, label: LABEL, nodeId: 'n_1', error: undefined },
    ]);
    expect([...ended.failed()]).toMatchObject([
      { number: 4, error: { name: 'Error', message: 'a text' } },
      { number: 3, nodeId: 'n_1', error: { name: 'RangeError', message: 'x'.repeat(300) } },
    ]);
  });

  it('are the latest 10 000 that finished, and the latest 1 000 that failed', () => {
    const ended = new EndedTasks();
    for (let number = 0; number < 10_003; number += 1) ended.addFinished(call(number), undefined);
    for (let number = 0; number < 1_003; number += 1)
      ended.addFailed(call(number), undefined, new Error('no'));
    const finished = [...ended.finished()].map(({ number }) => number);
    expect([finished.length, finished[0], finished.at(-1)]).toEqual([10_000, 10_002, 3]);
    const failed = [...ended.failed()].map(({ number }) => number);
    expect([failed.length, failed[0], failed.at(-1)]).toEqual([1_000, 1_002, 3]);
  });
});
