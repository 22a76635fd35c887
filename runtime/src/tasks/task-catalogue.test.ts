import { describe, expect, it } from 'vitest';
import { collectGarbage } from '../core/garbage.ts';
import { FakeTaskCluster, leaseTemplate } from '../testing/fake-task-cluster.ts';
import { TaskCatalogue } from './task-catalogue.ts';
import type { TaskCall } from './task-call.ts';
import type { LeaseTemplate, TaskDefinition } from './task-function.ts';
import { progressByJob } from './task-progress.ts';

const definition: TaskDefinition = {
  name: 'run',
  reference: { moduleUrl: 'file:///module.js', exportKey: 'task run' },
  stream: false,
  maxRetries: 3,
  retryExceptions: undefined,
  maxCalls: 0,
};
const template = (id: number): LeaseTemplate => ({ ...leaseTemplate(), env: { ID: `${id}` } });

describe('task functions', () => {
  it('are one when they and all that their workers need are equal', () => {
    const catalogue = new TaskCatalogue(new FakeTaskCluster(1).submitter);
    const known = catalogue.functionFor(definition, template(1));
    expect(catalogue.functionFor({ ...definition }, template(1))).toBe(known);
    const other = catalogue.functionFor({ ...definition, maxRetries: 0 }, template(1));
    expect([other === known, other.shape === known.shape]).toEqual([false, true]);
    for (const change of [{ env: { ID: '2' } }, { setupTimeoutMs: 5 }, { schedulingTimeoutMs: 5 }])
      expect(catalogue.functionFor(definition, { ...template(1), ...change }).shape).not.toBe(
        known.shape,
      );
  });

  it('are forgotten with their shapes when nobody can call them; what was counted stays', async () => {
    const catalogue = new TaskCatalogue(new FakeTaskCluster(1).submitter);
    const kept = catalogue.functionFor(definition, template(0));
    for (let id = 0; id < 100; id += 1)
      catalogue.functionFor(definition, template(id)).tally.submitted += 1;
    // What was looked up in this turn stays until it is over.
    await new Promise(setImmediate);
    await collectGarbage();
    expect(catalogue.size).toEqual({ functions: 1, shapes: 1 });
    expect(catalogue.functionFor(definition, template(0))).toBe(kept);
    expect([...catalogue.tallies()]).toMatchObject([{ name: 'run', submitted: 100 }]);
  });

  it('leave nothing with the submitter when their tasks have ended and their workers are given back', async () => {
    const cluster = new FakeTaskCluster(2);
    const { submitter } = cluster;
    const shapes: WeakRef<object>[] = [];
    const submit = (id: number): TaskCall => {
      const task = submitter.functionFor(definition, template(id));
      shapes.push(new WeakRef(task.shape));
      return submitter.submit(task, [id]);
    };
    for (let id = 0; id < 4; id += 1) submit(id);
    submitter.cancel(submit(4), {});
    await cluster.settle();
    await collectGarbage();
    expect(shapes.filter((shape) => shape.deref() !== undefined)).toEqual([]);
    expect([...progressByJob(submitter).values()]).toEqual([
      [{ name: 'run', queued: 0, running: 0, finished: 4, failed: 1 }],
    ]);
  });
});
