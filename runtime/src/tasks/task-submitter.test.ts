// oxlint-disable vitest/no-conditional-expect -- the model of the history says what to expect
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ObjectRef, REF_STATE } from '../objects/object-ref.ts';
import { FakeTaskCluster, leaseTemplate } from '../testing/fake-task-cluster.ts';
import { LEASE_LIMITS } from './lease-policy.ts';
import type { TaskCall } from './task-call.ts';
import type { TaskDefinition, TaskFunction } from './task-function.ts';

function define(cluster: FakeTaskCluster, options: Partial<TaskDefinition> = {}): TaskFunction {
  const reference = { moduleUrl: 'file:///module.js', exportKey: 'task run' };
  const definition = { name: 'run', reference, stream: false, maxRetries: 3, maxCalls: 0 };
  return cluster.submitter.functionFor(
    { ...definition, retryExceptions: undefined, ...options },
    leaseTemplate(),
  );
}

const submit = (cluster: FakeTaskCluster, task: TaskFunction, count: number): TaskCall[] =>
  Array.from({ length: count }, (_, index) => cluster.submitter.submit(task, [index]));

describe('leases', () => {
  it('are asked for gradually, never more than tasks', async () => {
    const cluster = new FakeTaskCluster(0);
    const few = define(cluster);
    submit(cluster, few, 3);
    await cluster.turn();
    expect(cluster.waiting).toHaveLength(3);
    submit(cluster, few, 500);
    await cluster.turn();
    expect(cluster.waiting).toHaveLength(LEASE_LIMITS.unanswered);
  });

  it('are withdrawn when nothing waits for them any more', async () => {
    const cluster = new FakeTaskCluster(0);
    const calls = submit(cluster, define(cluster), 5);
    await cluster.turn();
    for (const call of calls) cluster.submitter.cancel(call, {});
    await cluster.turn(300);
    await cluster.turn(300);
    expect(cluster.leases.size).toBe(0);
    expect(cluster.pendingWork).toBe(0);
  });

  it('are kept a while for the next task, then given back', async () => {
    const cluster = new FakeTaskCluster(1);
    const task = define(cluster);
    await runAll(cluster, submit(cluster, task, 1));
    await cluster.turn(100);
    expect(cluster.alive).toHaveLength(1);
    await runAll(cluster, submit(cluster, task, 1));
    expect(cluster.workers).toHaveLength(1);
    await cluster.turn(300);
    expect(cluster.leases.size).toBe(0);
  });

  it('go back when others want them, with tasks left', async () => {
    const cluster = new FakeTaskCluster(1);
    const calls = submit(cluster, define(cluster), 10);
    await cluster.turn();
    cluster.grant();
    await cluster.turn();
    const [first] = cluster.workers;
    first?.step();
    if (first !== undefined) cluster.want(first);
    await cluster.turn();
    first?.step();
    await cluster.turn();
    expect(first?.isOpen).toBe(false);
    await cluster.settle();
    expect(calls.every(({ state }) => state === REF_STATE.ready)).toBe(true);
    expect(cluster.workers.length).toBeGreaterThan(1);
  });

  it('go back also when others want them before their worker is reached', async () => {
    const cluster = new FakeTaskCluster(1);
    const calls = submit(cluster, define(cluster), 3);
    await cluster.turn();
    cluster.grant();
    const [first] = cluster.workers;
    if (first !== undefined) cluster.want(first);
    await cluster.turn();
    expect(first?.isOpen).toBe(false);
    await cluster.settle();
    expect(calls.every(({ state }) => state === REF_STATE.ready)).toBe(true);
  });

  it('that take long get one task, quick ones many', async () => {
    const cluster = new FakeTaskCluster(1);
    const task = define(cluster);
    submit(cluster, task, 900);
    await cluster.turn();
    cluster.grant();
    await cluster.turn();
    const worker = cluster.workers[0];
    expect(worker?.queue).toHaveLength(1);
    worker?.step();
    worker?.step();
    await cluster.turn();
    expect(worker?.queue.length).toBeGreaterThan(500);
    task.runMs = 1_000;
    await cluster.settle();
    expect(cluster.starts.size).toBe(900);
  });
});

async function runAll(cluster: FakeTaskCluster, calls: TaskCall[]): Promise<void> {
  while (calls.some(({ state }) => state === REF_STATE.pending)) {
    cluster.grant();
    await cluster.turn();
    for (const worker of cluster.alive) worker.step();
  }
}

describe('workers', () => {
  it('get back what stands behind a blocked task, elsewhere', async () => {
    const cluster = new FakeTaskCluster(1);
    const task = define(cluster);
    task.runMs = 0.01;
    const calls = submit(cluster, task, 20);
    await cluster.turn();
    cluster.grant();
    await cluster.turn();
    const [blocked] = cluster.workers;
    blocked?.step();
    blocked?.block();
    await cluster.turn(30);
    cluster.grant();
    await cluster.turn();
    const other = cluster.workers[1];
    expect(other?.queue).toHaveLength(19);
    expect(blocked?.queue).toHaveLength(0);
    await cluster.settle();
    expect(calls.every(({ state }) => state === REF_STATE.ready)).toBe(true);
  });

  it('without tasks get those that wait behind a long one', async () => {
    const cluster = new FakeTaskCluster(2);
    const task = define(cluster);
    submit(cluster, task, 20);
    await cluster.turn();
    cluster.grant();
    task.runMs = 0.01;
    await cluster.turn();
    const [first, second] = cluster.workers;
    first?.step();
    while (second !== undefined && (second.queue.length > 0 || second.running !== undefined)) {
      second.step();
      await cluster.turn();
    }
    await cluster.turn(60);
    await cluster.turn(60);
    expect(second?.queue.length).toBeGreaterThan(0);
    expect(first?.queue).toHaveLength(0);
    await cluster.settle();
    expect([...cluster.starts.values()].every((count) => count === 1)).toBe(true);
  });

  it('are killed for the task that runs, also when it is not the last one cancelled with force', async () => {
    const cluster = new FakeTaskCluster(1);
    const task = define(cluster);
    task.runMs = 0.01;
    const calls = submit(cluster, task, 3);
    await cluster.turn();
    cluster.grant();
    await cluster.turn();
    const [worker] = cluster.workers;
    worker?.step();
    for (const call of calls) cluster.submitter.cancel(call, { force: true });
    await cluster.turn();
    expect(worker?.isOpen).toBe(false);
    await cluster.settle();
    expect([...cluster.starts.values()]).toEqual([1]);
  });

  it('killed for want of memory cost no retry, and are waited for longer and longer', async () => {
    const cluster = new FakeTaskCluster(1);
    const [call] = submit(cluster, define(cluster, { maxRetries: 1 }), 1);
    for (let kill = 0; kill < 4; kill += 1) {
      await cluster.turn(40);
      cluster.grant();
      await cluster.turn();
      const worker = cluster.alive[0];
      worker?.step();
      expect(cluster.starts.get(0)).toBe(kill + 1);
      if (worker !== undefined) cluster.crash(worker, { kind: 'out-of-memory', message: 'full' });
      await cluster.turn();
      await cluster.turn(1_000 * 2 ** kill - 100);
      expect(cluster.waiting).toHaveLength(0);
      await cluster.turn(100);
    }
    await cluster.settle();
    expect(call?.state).toBe(REF_STATE.ready);
    const final = submit(cluster, define(cluster, { maxRetries: 0 }), 1)[0];
    await cluster.turn();
    cluster.grant();
    await cluster.turn();
    cluster.alive[0]?.step();
    const worker = cluster.alive[0];
    if (worker !== undefined) cluster.crash(worker, { kind: 'out-of-memory', message: 'full' });
    await cluster.turn();
    expect(final?.content).toMatchObject({
      name: 'WorkerCrashedError',
      cause: { name: 'OutOfMemoryError' },
    });
  });

  it('whose own heap was full cost a retry, at once', async () => {
    const cluster = new FakeTaskCluster(1);
    const [call] = submit(cluster, define(cluster, { maxRetries: 1 }), 1);
    const message = 'process 1 ran out of memory';
    for (let run = 1; run <= 2; run += 1) {
      await cluster.turn();
      cluster.grant();
      await cluster.turn();
      const [worker] = cluster.alive;
      worker?.step();
      expect(cluster.starts.get(0)).toBe(run);
      if (worker !== undefined)
        cluster.crash(worker, { kind: 'out-of-memory', message, signal: 'SIGABRT' });
      await cluster.turn();
    }
    expect(call?.content).toMatchObject({
      name: 'WorkerCrashedError',
      message: `The worker of task run died under it, and no retry is left (maxRetries 1): ${message}`,
      cause: { name: 'OutOfMemoryError', message },
    });
  });

  it('that cannot be placed fail the tasks that wait, with the reasons', async () => {
    const cluster = new FakeTaskCluster(0);
    const calls = submit(cluster, define(cluster), 3);
    await cluster.turn();
    cluster.refuse({ errorName: 'InfeasibleError', perNode: { n1: 'too small' } });
    await cluster.turn();
    for (const call of calls)
      expect(call.content).toMatchObject({
        name: 'InfeasibleError',
        message: expect.stringMatching(
          /^Task run could not be placed\..*Node n1 too small\./,
        ) as string,
        perNode: { n1: 'too small' },
      });
    expect(cluster.pendingWork).toBe(0);
  });

  it('that cannot be started are asked for again, and given up after a while', async () => {
    const cluster = new FakeTaskCluster(0);
    const [call] = submit(cluster, define(cluster), 1);
    for (let attempt = 0; attempt < 6; attempt += 1) {
      await cluster.turn(10_000);
      expect(cluster.waiting).toHaveLength(1);
      cluster.refuse({ deathCause: { kind: 'process-died', message: 'It did not start.' } });
      await cluster.turn();
    }
    expect(call?.content).toMatchObject({ name: 'WorkerCrashedError' });
  });
});

type Action =
  | { type: 'submit'; maxRetries: number; dependsOn: number | undefined }
  | { type: 'cancel'; pick: number; force: boolean }
  | { type: 'crash'; pick: number; wordFirst: boolean }
  | { type: 'step' | 'block' | 'want'; pick: number }
  | { type: 'grant' }
  | { type: 'turn'; milliseconds: number };

const pick = fc.nat({ max: 20 });
const action: fc.Arbitrary<Action> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      type: fc.constant('submit' as const),
      maxRetries: fc.constantFrom(0, 1, 3, -1),
      dependsOn: fc.option(pick, { nil: undefined, freq: 4 }),
    }),
  },
  { weight: 6, arbitrary: fc.record({ type: fc.constant('step' as const), pick }) },
  {
    weight: 1,
    arbitrary: fc.record({ type: fc.constant('cancel' as const), pick, force: fc.boolean() }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ type: fc.constant('crash' as const), pick, wordFirst: fc.boolean() }),
  },
  { weight: 1, arbitrary: fc.record({ type: fc.constantFrom('block' as const, 'want'), pick }) },
  { weight: 3, arbitrary: fc.record({ type: fc.constant('grant' as const) }) },
  {
    weight: 5,
    arbitrary: fc.record({
      type: fc.constant('turn' as const),
      milliseconds: fc.constantFrom(0, 1, 10, 40, 300),
    }),
  },
);

async function apply(cluster: FakeTaskCluster, calls: TaskCall[], step: Action): Promise<void> {
  const worker = 'pick' in step ? cluster.alive[step.pick % cluster.alive.length] : undefined;
  if (step.type === 'submit') {
    const task = define(cluster, { maxRetries: step.maxRetries });
    const dependency = calls[(step.dependsOn ?? 0) % Math.max(1, calls.length)];
    const dependencies =
      step.dependsOn === undefined || dependency === undefined ? [] : [dependency];
    calls.push(cluster.submitter.submit(task, [calls.length, ...dependencies]));
  } else if (step.type === 'cancel') {
    const call = calls[step.pick % calls.length];
    if (call !== undefined) cluster.submitter.cancel(call, { force: step.force });
  } else if (step.type === 'grant') {
    cluster.grant();
  } else if (step.type === 'turn') {
    await cluster.turn(step.milliseconds);
  } else if (worker !== undefined) {
    if (step.type === 'crash') cluster.crash(worker, undefined, step.wordFirst);
    else if (step.type === 'want') cluster.want(worker);
    else worker[step.type]();
  }
}

describe('any history of tasks, workers and crashes', () => {
  it('ends each task once, runs none too often, and gives every lease back', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.nat({ max: 3 }),
        fc.array(action, { maxLength: 80 }),
        async (places, steps) => {
          const cluster = new FakeTaskCluster(places + 1);
          const crashes = steps.filter(({ type }) => type === 'crash').length;
          const calls: TaskCall[] = [];
          const independent = new Set<TaskCall>();
          for (const step of steps) {
            await apply(cluster, calls, step);
            if (step.type === 'submit' && step.dependsOn === undefined)
              independent.add(calls.at(-1) as TaskCall);
            expect(cluster.waiting.length).toBeLessThanOrEqual(LEASE_LIMITS.unanswered);
          }
          await cluster.settle();
          for (const [index, call] of calls.entries()) {
            const runs = cluster.starts.get(index) ?? 0;
            const { maxRetries } = call.task.definition;
            expect(call.state).not.toBe(REF_STATE.pending);
            if (maxRetries >= 0) expect(runs).toBeLessThanOrEqual(1 + maxRetries);
            if (call.state === REF_STATE.ready) expect(runs).toBeGreaterThanOrEqual(1);
            const { name } = Object(call.content) as { name?: string };
            // Nobody pays for a death with more than one retry.
            if (name === 'WorkerCrashedError' && independent.has(call))
              expect(crashes).toBeGreaterThan(maxRetries);
          }
          expect(cluster.pendingWork).toBe(0);
          expect(cluster.leases.size).toBe(0);
        },
      ),
      { numRuns: 300 },
    );
  }, 60_000);
});

it('a task that is cancelled leaves nothing waiting for its arguments', async () => {
  const cluster = new FakeTaskCluster(1);
  const task = define(cluster);
  const argument = new ObjectRef<unknown>(task.submitter.runtime);
  const call = cluster.submitter.submit(task, [argument]);
  await cluster.turn();
  expect(argument.waiters).toBeDefined();
  cluster.submitter.cancel(call, {});
  expect(call.state).toBe(REF_STATE.failed);
  expect([argument.waiters].flat().filter((waiter) => waiter !== undefined)).toEqual([]);
});
