import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { get, init, put, shutdown, type ObjectRef } from '@manta/sdk';
import { startTestCluster, type TestCluster } from '@manta/sdk/testing';
import { GateActor } from './fixtures/gates.ts';
import {
  add,
  anonymous,
  asActor,
  context,
  count,
  countArguments,
  echo,
  failTimes,
  fillHeap,
  giveFunction,
  giveFunctions,
  makeBytes,
  nodeOfTask,
  noteReasonOfAbort,
  noteSlowly,
  pid,
} from './fixtures/tasks.ts';
import { failureOf, Journals } from './testing/journal.ts';

const journals = new Journals();
let cluster: TestCluster;

beforeAll(async () => {
  cluster = await startTestCluster({
    nodes: [
      { cpus: 4, labels: { zone: 'a' } },
      { cpus: 2, gpus: 1, labels: { zone: 'b' }, resources: { licence: 1 } },
    ],
  });
  await init({ address: cluster.address, logToDriver: false });
});
afterAll(async () => {
  await shutdown();
  await cluster[Symbol.asyncDispose]();
  journals.remove();
});

describe('a worker whose heap is full', () => {
  it('costs a retry like any crash; then the task fails with the cause', async () => {
    const journal = journals.create();
    const env = { NODE_OPTIONS: '--max-old-space-size=40' };
    const task = fillHeap.options({ maxRetries: 1, runtimeEnv: { env } });
    const failure = await failureOf(task(journal.file));
    expect(failure).toMatchObject({
      name: 'WorkerCrashedError',
      cause: { name: 'OutOfMemoryError', code: 'MANTA_OUT_OF_MEMORY' },
    });
    expect(failure.message).toMatch(
      /task fillHeap .*process \d+ on node n_\w+ ran out of memory \(its JavaScript heap was full, .*manta logs n_/,
    );
    expect(journal.lines()).toEqual(['run', 'run']);
    expect(await add(1, 2)).toBe(3);
  });

  it('that cannot be started at all says why', async () => {
    const env = { NODE_OPTIONS: '--no-such-option' };
    const failure = await failureOf(pid.options({ runtimeEnv: { env } })());
    expect(failure).toMatchObject({ name: 'WorkerCrashedError' });
    expect(failure.message).toMatch(/No worker for task pid could be started: .*--no-such-option/);
    expect(await add(1, 2)).toBe(3);
  });
});

describe('results that cannot be sent', () => {
  it('name the task and the path in the value', async () => {
    expect(await failureOf(giveFunction())).toMatchObject({
      name: 'SerializationError',
      path: 'result.list[1].callback',
      message: expect.stringMatching(
        /^The result of task giveFunction: result\.list\[1\]\.callback cannot be sent/,
      ) as string,
    });
    const items: unknown[] = [];
    const read = async (): Promise<void> => {
      for await (const item of giveFunctions()) items.push(item);
    };
    expect(await failureOf(read())).toMatchObject({
      name: 'SerializationError',
      path: 'item[0]',
      message: expect.stringContaining('The item of task giveFunctions') as string,
    });
    expect(items).toEqual([1]);
  });

  it('are arguments too: the call throws at once', () => {
    expect(() => echo({ callback: () => 1 })).toThrow(
      expect.objectContaining({ name: 'SerializationError', path: 'args[0].callback' }),
    );
  });
});

describe('cancelled tasks', () => {
  it('have the reason of their signal as cause, queued or running, and tell the worker why', async () => {
    const journal = journals.create();
    const controller = new AbortController();
    const { signal } = controller;
    const reason = { code: 'closed', by: 'the user' };
    const running = noteReasonOfAbort.options({ signal })(journal.file);
    const waiting = add.options({ signal })(running as unknown as ObjectRef<number>, 1);
    const unplaced = add.options({ signal, cpus: 1_000 })(1, 2);
    await expect.poll(() => journal.lines()).toEqual(['running']);
    controller.abort(reason);
    for (const ref of [running, waiting, unplaced, add.options({ signal })(1, 2)]) {
      const failure = await failureOf(ref);
      expect(failure).toMatchObject({ name: 'TaskCancelledError' });
      expect(failure.cause).toBe(reason);
    }
    await expect.poll(() => journal.lines().length).toBe(2);
    expect(JSON.parse(journal.lines()[1] ?? '')).toEqual({
      name: 'TaskCancelledError',
      message: expect.stringContaining('task noteReasonOfAbort') as string,
    });
  });

  it('whose time is over tell the worker so', async () => {
    const journal = journals.create();
    const limited = noteReasonOfAbort.options({ timeoutMs: 500 })(journal.file);
    const failure = await failureOf(limited);
    expect(failure).toMatchObject({ name: 'TaskTimeoutError', retryable: true });
    expect(failure.message).toBe('Task noteReasonOfAbort took longer than 500 ms.');
    await expect.poll(() => journal.lines()[1]).toMatch(/TaskTimeoutError/);
  });
});

describe('options', () => {
  it('name a function without a name; those of a call go before those of the definition', async () => {
    expect(
      (
        await failureOf(
          anonymous.options({ name: 'first', cpus: 999, schedulingTimeoutMs: 50 })('a'),
        )
      ).message,
    ).toMatch(/^Task first could not be placed/);
    const journal = journals.create();
    const retried = failTimes.options({ retryExceptions: true, maxTaskRetries: 2 });
    expect((await failureOf(retried(journal.file, 9, 'OddError'))).name).toBe('TaskError');
    expect(journal.count('run')).toBe(3);
  });

  it('place tasks by node, label and resource', async () => {
    const [a, b] = cluster.nodes.map(({ nodeId }) => nodeId) as [string, string];
    const placed = await get([
      nodeOfTask.options({ scheduling: { nodeId: b } })(),
      nodeOfTask.options({ labels: { zone: 'a' } })(),
      nodeOfTask.options({ labels: { zone: '!a' } })(),
      nodeOfTask.options({ resources: { licence: 1 } })(),
    ]);
    expect(placed).toEqual([b, a, b, b]);
    const spread = nodeOfTask.options({ scheduling: 'spread', cpus: 2 });
    const homes = await get([spread(300), spread(300), spread(300)]);
    expect(homes.sort()).toEqual([a, a, b].sort());
    const devices = (await context.options({ gpus: 0.5 })()).gpuIds;
    expect(devices).toEqual(['0']);
  });

  it('that contradict each other are refused', () => {
    expect(() => add.options({ gpus: 1, gpuMemoryBytes: 1 })(1, 2)).toThrow(/not for both/);
    expect(() => add.options({ maxCalls: -1 })).toThrow(/Task option maxCalls must be/);
    expect(() => add.options({ runtimeEnv: { npm: [] } as never })).toThrow(/runtimeEnv/);
    expect(() => add.options({ concurrencyGroup: 'io' })).toThrow(/concurrencyGroup is for calls/);
  });
});

describe('values', () => {
  it('pass through tasks as refs, handles and large results without a stop here', async () => {
    const gate = GateActor.create();
    const back = (await echo({ gate })) as { gate: typeof gate };
    expect((await back.gate.status()).running).toBe(0);
    const ref = put(20);
    const inner = (await echo([ref])) as [typeof ref];
    expect(await add(inner[0], 1)).toBe(21);
    const large = makeBytes(2 ** 20, 3);
    const copy = (await echo(large)) as Uint8Array;
    expect([copy.length, copy[2 ** 20 - 1]]).toEqual([2 ** 20, 3]);
    expect(await countArguments()).toEqual([0, 0]);
    expect(await echo(undefined)).toBeUndefined();
    expect(await echo(null)).toBeNull();
  });
});

describe('streams', () => {
  it('are cancelled, and free their worker', async () => {
    const stream = count(1_000_000_000);
    const iterator = stream[Symbol.asyncIterator]();
    expect(await iterator.next()).toEqual({ done: false, value: 0 });
    stream.cancel();
    expect(await iterator.next()).toEqual({ done: true, value: undefined });
    expect(
      await get([1, 2, 3, 4, 5, 6].map((value) => add.options({ cpus: 1 })(value, 0))),
    ).toEqual([1, 2, 3, 4, 5, 6]);
  });

  it('give refs of their items, in order, that others read', async () => {
    const sums: number[] = [];
    for await (const ref of count(5).refs()) sums.push(await add(ref, 10));
    expect(sums).toEqual([10, 11, 12, 13, 14]);
  });
});

describe('inside a task', () => {
  it('there is no actor', async () => {
    const [ofSelf, ofExit] = await asActor();
    expect(ofSelf).toMatch(/^InvalidArgumentError: self\(\) is for actors/);
    expect(ofExit).toMatch(/^InvalidArgumentError: exitActor\(\) is for actors/);
  });

  it('workers are used again, also for another function', async () => {
    const first = await pid.options({ cpus: 4 })();
    const journal = journals.create();
    expect(await noteSlowly.options({ cpus: 4 })(journal.file, 'same', 0)).toBe(first);
  });
});
