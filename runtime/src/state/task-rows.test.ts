import { describe, expect, it } from 'vitest';
import type { ProcessId } from '../ids.ts';
import { ObjectRef } from '../objects/object-ref.ts';
import { FakeTaskCluster, leaseTemplate } from '../testing/fake-task-cluster.ts';
import { taskIdOf } from '../tasks/task-id.ts';
import { taskRowsOf, type ListedCore } from './task-rows.ts';

const SELF = 'p_0000000000000000' as ProcessId;

function createProcess(places: number) {
  const cluster = new FakeTaskCluster(places);
  const { submitter } = cluster;
  const define = (name: string) =>
    submitter.functionFor(
      {
        name,
        reference: { moduleUrl: 'file:///module.js', exportKey: `task ${name}` },
        stream: false,
        maxRetries: 3,
        retryExceptions: undefined,
        maxCalls: 0,
      },
      leaseTemplate(),
    );
  const core: ListedCore = { processId: SELF, actors: { callers: () => [] }, tasks: submitter };
  const states = (limit = 100, filter = {}): string[] =>
    taskRowsOf(core, filter, limit).map(({ name, state }) => `${name} ${state}`);
  return { cluster, submitter, define, core, states };
}

describe('the tasks of a process', () => {
  it('are told from their submission to their end', async () => {
    const { cluster, submitter, define, core, states } = createProcess(1);
    const pending = new ObjectRef<number>(submitter.runtime);
    submitter.submitWith(define('needs'), [pending], undefined);
    const [first, second] = [define('first'), define('second')];
    const call = submitter.submit(first, [1]);
    submitter.submit(second, [2]);
    expect(states()).toEqual([
      'needs pending-args',
      'first pending-node-assignment',
      'second pending-node-assignment',
    ]);
    await cluster.turn();
    cluster.grant();
    await cluster.turn();
    expect(states()[0]).toBe('first running');
    cluster.alive[0]?.step();
    cluster.alive[0]?.step(true);
    await cluster.turn();
    pending.resolve(1);
    await cluster.settle();
    expect(states()).toEqual(['first failed', 'needs finished', 'second finished']);
    expect(taskRowsOf(core, { state: 'failed' }, 10)).toEqual([
      {
        type: 'task',
        name: 'first',
        state: 'failed',
        jobId: 'j_0000000000000000',
        taskId: taskIdOf(SELF, call.number),
        errorType: 'TaskError',
        errorMessage: expect.stringContaining('It fails.') as string,
      },
    ]);
  });

  it('are at most as many as asked for, of those that match', async () => {
    const { cluster, submitter, define, states } = createProcess(0);
    const [few, many] = [define('few'), define('many')];
    for (let index = 0; index < 50; index += 1) submitter.submit(many, [index]);
    submitter.submit(few, [0]);
    await cluster.turn();
    expect(states(10)).toHaveLength(10);
    expect(states(10, { name: 'few' })).toEqual(['few pending-node-assignment']);
    expect(states(10, { name: 'few', state: 'running' })).toEqual([]);
    expect(states(10, { type: 'actor-call' })).toEqual([]);
  });

  it('that run once more are told once', async () => {
    const { cluster, submitter, define, states } = createProcess(1);
    const task = define('again');
    const call = submitter.submit(task, [1]);
    const maker = call.maker();
    await cluster.settle();
    expect(states()).toEqual(['again finished']);
    maker.again([1], [], 2);
    await cluster.turn();
    expect(states()).toEqual(['again pending-node-assignment']);
    await cluster.settle();
    expect(states()).toEqual(['again finished']);
  });
});
