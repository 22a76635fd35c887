import { inspect } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  actorIdOf,
  cancel,
  type ClusterInfo,
  get,
  getActor,
  init,
  kill,
  MantaError,
  put,
  Queue,
  ready,
  shutdown,
  stop,
  wait,
} from '@manta/sdk';
import { startTestCluster, type TestCluster } from '@manta/sdk/testing';
import { GateActor, LeaverActor } from './fixtures/gates.ts';
import { failureOf, Journals } from './testing/journal.ts';

const GIB = 2 ** 30;
const journals = new Journals();
let cluster: TestCluster;
let info: ClusterInfo;

beforeAll(async () => {
  cluster = await startTestCluster({
    nodes: [{ cpus: 8, gpus: 2, memoryBytes: 4 * GIB, resources: { licence: 2 } }],
  });
  info = await init({ address: cluster.address, logToDriver: false, namespace: 'contract' });
});
afterAll(async () => {
  await shutdown();
  await cluster[Symbol.asyncDispose]();
  journals.remove();
});

type GateHandle = ReturnType<(typeof GateActor)['create']>;
const runningIn = (gate: GateHandle, running: number) =>
  expect.poll(async () => (await gate.status()).running, { timeout: 10_000 }).toBe(running);

describe('concurrency', () => {
  it('groups have quotas of their own, by method, and let others pass', async () => {
    const gate = GateActor.options({
      concurrencyGroups: { io: 2 },
      concurrencyGroupOf: { pass: 'io' },
    }).create();
    const passing = Array.from({ length: 5 }, () => gate.pass());
    await runningIn(gate, 2);
    await gate.open();
    expect(await get(passing)).toEqual(Array.from({ length: 5 }, () => 'passed'));
    expect((await gate.status()).peak).toBe(2);
  });

  it('groups can be chosen per call; one that is not there is named', async () => {
    const gate = GateActor.options({ concurrencyGroups: { io: 3 } }).create();
    const pass = gate.pass.options({ concurrencyGroup: 'io' });
    const passing = [pass(), pass(), pass()];
    await runningIn(gate, 3);
    const failure = await failureOf(gate.echo.options({ concurrencyGroup: 'disk' })(1));
    expect(failure.message).toMatch(/no concurrency group "disk"/);
    await gate.open();
    await get(passing);
  });

  it('maxPendingCalls refuses more with BackpressureError, and takes calls again after', async () => {
    const gate = GateActor.options({ maxPendingCalls: 3, maxConcurrency: 4 }).create();
    await gate.status();
    const passing = [gate.pass(), gate.pass(), gate.pass()];
    const failure = await failureOf(gate.pass());
    expect(failure).toMatchObject({ name: 'BackpressureError', retryable: true });
    expect(failure.message).toContain('3 unfinished calls');
    // In this process any handle of it counts the same calls.
    await GateActor.create().openOther(gate);
    await get(passing);
    expect(await gate.echo('again')).toBe('again');
  });

  it('allowOutOfOrderExecution lets calls pass that wait for arguments; the default keeps order', async () => {
    const source = GateActor.options({ maxConcurrency: 2 }).create();
    const [ordered, unordered] = [
      GateActor.create(),
      GateActor.options({ allowOutOfOrderExecution: true }).create(),
    ];
    await Promise.all([ordered.status(), unordered.status()]);
    const argument = source.pass();
    const waiting = [ordered.echo(argument), unordered.echo(argument)];
    const behind = ordered.echo('behind');
    expect(await unordered.echo('passed by')).toBe('passed by');
    expect(await wait([...waiting, behind], { timeoutMs: 0 })).toMatchObject({ ready: [] });
    await source.open();
    expect(await get([...waiting, behind])).toEqual(['passed', 'passed', 'behind']);
  });
});

describe('handles', () => {
  it('show their methods and nothing else, and a short form to people', async () => {
    const gate = GateActor.create();
    expect(Object.keys(gate)).toContain('pass');
    expect(Object.keys(gate)).not.toContain('constructor');
    expect((gate as unknown as { then: unknown }).then).toBeUndefined();
    expect(await Promise.resolve(gate)).toBe(gate);
    const text = `ActorHandle(Gate, ${actorIdOf(gate)})`;
    expect(JSON.stringify({ gate })).toBe(`{"gate":"${text}"}`);
    expect(inspect({ gate })).toBe(`{ gate: ${text} }`);
    expect(JSON.stringify(await gate.me())).toBe(`"${text}"`);
  });

  it('of the running actor are given by self()', async () => {
    const gate = GateActor.options({ maxConcurrency: 2 }).create();
    expect(actorIdOf(await gate.me())).toBe(actorIdOf(gate));
    expect(await gate.throughSelf()).toMatchObject({
      id: actorIdOf(gate),
      status: { running: 0 },
    });
  });

  it('of actors that are not alive in time: ready() says GetTimeoutError', async () => {
    const nowhere = GateActor.options({ cpus: 1_000 }).create();
    const failure = await failureOf(ready(nowhere, { timeoutMs: 100 }));
    expect(failure).toMatchObject({ name: 'GetTimeoutError' });
    expect(failure.message).toContain(actorIdOf(nowhere));
    await kill(nowhere);
  });
});

describe('runtimeContext()', () => {
  it('says who and where the actor is', async () => {
    const options = { name: 'somebody', cpus: 0.5, gpus: 0.5, resources: { licence: 1 } };
    const gate = GateActor.options(options).create();
    expect(await gate.context()).toEqual({
      clusterId: info.clusterId,
      jobId: info.jobId,
      nodeId: cluster.nodes[0]?.nodeId,
      namespace: 'contract',
      actorId: actorIdOf(gate),
      actorName: 'somebody',
      restarts: 0,
      gpuIds: [expect.stringMatching(/^[01]$/)],
      assignedResources: { cpus: 0.5, gpus: 0.5, licence: 1 },
      isAborted: false,
    });
    expect(actorIdOf(await getActor('somebody'))).toBe(actorIdOf(gate));
    await kill(gate);
  });
});

describe('cancelled calls', () => {
  it('have the reason of their signal as cause, and tell the callee why', async () => {
    const gate = GateActor.options({ maxConcurrency: 3 }).create();
    await gate.status();
    const controller = new AbortController();
    const reason = new RangeError('the user went away');
    const { signal } = controller;
    const running = gate.reasonOfAbort.options({ signal })();
    await runningIn(gate, 1);
    controller.abort(reason);
    const failure = await failureOf(running);
    expect(failure).toMatchObject({ name: 'TaskCancelledError' });
    expect(failure.cause).toBe(reason);
    await expect
      .poll(() => gate.lastReason())
      .toEqual({
        name: 'TaskCancelledError',
        message: expect.stringContaining('Gate.reasonOfAbort was cancelled') as string,
      });
    expect((await failureOf(gate.pass.options({ signal })())).cause).toBe(reason);
    await failureOf(gate.reasonOfAbort.options({ timeoutMs: 50 })());
    await expect
      .poll(async () => ((await gate.lastReason()) as { name: string }).name)
      .toBe('TaskTimeoutError');
    const cancelled = gate.pass();
    await cancel(cancelled);
    expect((await failureOf(cancelled)).cause).toBeUndefined();
  });
});

describe('calls whose caller is gone', () => {
  it('learn it from their signal', async () => {
    const callee = GateActor.options({ maxConcurrency: 2 }).create();
    const caller = GateActor.create();
    const lost = failureOf(caller.reasonOfAbortOf(callee));
    await runningIn(callee, 1);
    await kill(caller);
    expect(await lost).toMatchObject({ name: 'ActorDiedError', deathCause: { kind: 'killed' } });
    await expect
      .poll(() => callee.lastReason(), { timeout: 10_000 })
      .toEqual({ name: 'ActorUnavailableError', message: 'The caller is gone.' });
  });
});

describe('an actor whose memory is full', () => {
  it.each([
    [
      'process',
      { runtimeEnv: { env: { NODE_OPTIONS: '--max-old-space-size=40' } } },
      /heap was full/,
    ],
    // The engine may give up the whole process before it ends the thread.
    ['thread', { memoryBytes: 40 * 2 ** 20 }, /memory limit|heap was full/],
  ] as const)('dies of that (%s)', async (isolation, options, message) => {
    const gate = GateActor.options({ isolation, ...options }).create();
    const failure = await failureOf(gate.fillHeap());
    expect(failure).toMatchObject({
      name: 'ActorDiedError',
      deathCause: { kind: 'out-of-memory', message: expect.stringMatching(message) as string },
    });
    expect(failure.message).toMatch(/^Actor a_\w+ \(Gate\) is dead: .*memory/);
  });
});

describe('results that cannot be sent', () => {
  it('name the method and the path in the value', async () => {
    const gate = GateActor.create();
    const failure = await failureOf(gate.unsendable());
    expect(failure).toMatchObject({ name: 'SerializationError', path: 'result.list[1].socket' });
    expect(failure.message).toMatch(
      /^The result of Gate\.unsendable: result\.list\[1\]\.socket cannot be sent: it is a function/,
    );
    const items: unknown[] = [];
    const read = async (): Promise<void> => {
      for await (const item of gate.unsendableItems()) items.push(item);
    };
    expect(await failureOf(read())).toMatchObject({
      name: 'SerializationError',
      path: 'item.deep[0]',
      message: expect.stringMatching(/^The item of Gate\.unsendableItems: item\.deep/) as string,
    });
    expect(items).toEqual([1]);
    expect(await gate.echo('goes on')).toBe('goes on');
  });
});

describe('streams', () => {
  it('let the producer run ahead by maxBufferedItems, and end it when they are cancelled', async () => {
    const journal = journals.create();
    const gate = GateActor.options({ maxConcurrency: 2 }).create();
    const stream = gate.items.options({ maxBufferedItems: 4 })(1_000_000, journal.file);
    const iterator = stream[Symbol.asyncIterator]();
    expect(await iterator.next()).toEqual({ done: false, value: 1 });
    await expect.poll(async () => (await gate.status()).yielded).toBeGreaterThanOrEqual(4);
    for (let round = 0; round < 20; round += 1) await gate.echo(round);
    expect((await gate.status()).yielded).toBeLessThanOrEqual(6);
    stream.cancel();
    await expect.poll(() => journal.lines()).toEqual(['finally']);
    expect((await iterator.next()).done).toBe(true);
  });

  it('give refs that are passed on unseen, and end the producer when the loop is left', async () => {
    const journal = journals.create();
    const [gate, other] = [GateActor.create(), GateActor.create()];
    const seen: unknown[] = [];
    for await (const ref of gate.items(1_000, journal.file).refs()) {
      seen.push(await other.echo(ref));
      if (seen.length === 3) break;
    }
    expect(seen).toEqual([1, 2, 3]);
    await expect.poll(() => journal.lines()).toEqual(['finally']);
  });
});

describe('graceful ends', () => {
  it('leave running calls gracefulShutdownMs, then dispose', async () => {
    const journal = journals.create();
    const leaver = LeaverActor.options({ gracefulShutdownMs: 200 }).create(journal.file);
    const staying = failureOf(leaver.stay());
    await expect.poll(() => journal.lines()).toEqual(['stays']);
    await stop(leaver);
    expect(await staying).toMatchObject({
      name: 'ActorDiedError',
      deathCause: { kind: 'stopped' },
    });
    await expect.poll(() => journal.lines()).toEqual(['stays', 'disposed']);
  });
});

describe('placement', () => {
  it('counts memory, and says what was asked and why not when time is over', async () => {
    const options = { memoryBytes: 3 * GIB, schedulingTimeoutMs: 200 };
    const first = GateActor.options(options).create();
    await first.status();
    const failure = await failureOf(GateActor.options(options).create().status());
    expect(failure).toMatchObject({ name: 'SchedulingTimeoutError', retryable: true });
    const nodeId = cluster.nodes[0]?.nodeId as string;
    expect(failure.message).toMatch(
      new RegExp(
        `^Actor a_\\w+ \\(Gate\\) could not be placed\\. .*Node ${nodeId} .*memory.*schedulingTimeoutMs`,
        'is',
      ),
    );
    expect(Object.keys(failure['perNode'] as object)).toEqual([nodeId]);
    await kill(first);
  });

  it('gives GPU memory of one device, and devices of a type', async () => {
    const share = { gpuMemoryBytes: 10 * GIB, schedulingTimeoutMs: 200 };
    const holders = [share, share].map((options) => GateActor.options(options).create());
    const contexts = await get(holders.map((holder) => holder.context()));
    expect(contexts.map(({ gpuIds }) => gpuIds[0]).sort()).toEqual(['0', '1']);
    const third = await failureOf(GateActor.options(share).create().status());
    expect(third).toMatchObject({ name: 'SchedulingTimeoutError' });
    await Promise.all(holders.map((holder) => kill(holder)));
    const tooLarge = GateActor.options({ ...share, gpuMemoryBytes: 20 * GIB }).create();
    expect(await failureOf(tooLarge.status())).toMatchObject({ name: 'InfeasibleError' });
    const simulated = { acceleratorType: 'Simulated', gpus: 1, schedulingTimeoutMs: 200 };
    const typed = GateActor.options(simulated).create();
    expect((await typed.context()).gpuIds).toHaveLength(1);
    const other = GateActor.options({ ...simulated, acceleratorType: 'H100' }).create();
    const failure = await failureOf(other.status());
    expect(MantaError.is(failure, 'InfeasibleError')).toBe(true);
    expect(failure.message).toMatch(/no "h100" GPU, only Simulated/);
    await kill(typed);
  });

  it('is that of its actor for a queue', async () => {
    const nowhere = new Queue({ actorOptions: { cpus: 1_000, schedulingTimeoutMs: 100 } });
    expect(await failureOf(nowhere.size())).toMatchObject({ name: 'InfeasibleError' });
    const here = new Queue<number>({ actorOptions: { name: 'a queue', cpus: 0.1 } });
    await here.put(1);
    expect(await here.size()).toBe(1);
    await kill(await getActor('a queue'));
  });
});

describe('runtimeEnv', () => {
  it('sets variables, those of the actor before those of the job, and inherited by what it makes', async () => {
    const env = { MANTA_TEST_A: 'actor' };
    const gate = GateActor.options({ runtimeEnv: { env } }).create();
    expect(await gate.variables(['MANTA_TEST_A', 'MANTA_TEST_B'])).toEqual(['actor', undefined]);
    const plain = GateActor.create();
    expect(await plain.variables(['MANTA_TEST_A'])).toEqual([undefined]);
  });

  it.each(['process', 'thread', 'shared'] as const)(
    'starts a process with what is read when processes start (%s)',
    async (isolation) => {
      const env = { UV_THREADPOOL_SIZE: '2', NODE_OPTIONS: '--max-old-space-size=200' };
      const gate = GateActor.options({ isolation, runtimeEnv: { env } }).create();
      expect(await gate.variables(['UV_THREADPOOL_SIZE'])).toEqual(['2']);
    },
  );

  it('that is wrong is refused', () => {
    expect(() => GateActor.options({ runtimeEnv: { npm: ['left-pad'] } as never })).toThrow(
      /Actor option runtimeEnv must be \{ env\?/,
    );
    expect(() => GateActor.options({ runtimeEnv: { env: { A: 1 } } as never })).toThrow(/env/);
  });
});

describe('constructor arguments', () => {
  it('may be refs', async () => {
    const journal = journals.create();
    const leaver = LeaverActor.create(put(journal.file));
    void failureOf(leaver.stay());
    await expect.poll(() => journal.lines()).toEqual(['stays']);
    await kill(leaver);
  });
});
