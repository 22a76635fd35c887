import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  ActorPool,
  cancel,
  explain,
  get,
  getActor,
  init,
  kill,
  actorIdOf,
  listActors,
  listTasks,
  MantaError,
  put,
  Queue,
  ready,
  shutdown,
  stop,
  type TaskError,
  wait,
} from '@manta/sdk';
import {
  ConcurrentActor,
  CounterActor,
  ParentActor,
  QueueUserActor,
  StreamerActor,
} from './fixtures/actors.ts';

beforeAll(async () => {
  await init({ cpus: 16, logToDriver: false });
});
afterAll(() => shutdown());

describe('calls', () => {
  it('answers in order and keeps state', async () => {
    const counter = CounterActor.create(5);
    const refs = Array.from({ length: 1000 }, () => counter.add(1));
    expect(await get(refs)).toEqual(Array.from({ length: 1000 }, (_, index) => index + 6));
  });

  it('carries rich values both ways', async () => {
    const counter = CounterActor.create();
    const value = {
      when: new Date(0),
      map: new Map([[1, new Set(['a'])]]),
      big: 2n ** 70n,
      bytes: new Float32Array([1, 2]),
    };
    expect(await counter.echo(value)).toEqual(value);
  });

  it('carries 100 MiB and gives the same bytes', async () => {
    const counter = CounterActor.create();
    const bytes = Buffer.alloc(100 * 2 ** 20, 7);
    const back = await counter.echo(bytes);
    expect(back.equals(bytes)).toBe(true);
  });

  it('names the path of what cannot be sent, and the actor goes on', async () => {
    const counter = CounterActor.create();
    const { Socket } = await import('node:net');
    const socket = new Socket();
    expect(() => counter.echo({ socket })).toThrow(/args\[0\]\.socket/);
    expect(await counter.add(1)).toBe(1);
  });

  it('wraps what the method throws', async () => {
    const counter = CounterActor.create();
    const error = (await counter.fail('too far').catch((thrown: unknown) => thrown)) as TaskError;
    expect(MantaError.is(error, 'TaskError')).toBe(true);
    expect(error.code).toBe('MANTA_TASK_FAILED');
    expect(error.cause).toMatchObject({
      name: 'RangeError',
      message: 'too far',
      cause: { message: 'the root' },
    });
  });

  it('awaits refs at the top level and passes nested ones on', async () => {
    const counter = CounterActor.create();
    const other = CounterActor.create(40);
    expect(await counter.add(other.add(2))).toBe(42);
    const ref = put({ deep: 1 });
    const back = await counter.echo({ inner: ref });
    expect(await back.inner).toEqual({ deep: 1 });
  });

  it('does not run a call whose argument failed', async () => {
    const counter = CounterActor.create();
    await expect(counter.add(counter.fail('no value') as never)).rejects.toThrow('no value');
    expect(await counter.value()).toBe(0);
  });

  it('sends handles to other actors', async () => {
    const counter = CounterActor.create(1);
    const parent = ParentActor.create();
    expect(await parent.addTo(counter, 2)).toBe(3);
    const child = await parent.makeChild();
    expect(await child.add(1)).toBe(101);
  });

  it('runs one call at a time by default, and so many as maxConcurrency says', async () => {
    const one = ConcurrentActor.create();
    await get(Array.from({ length: 4 }, () => one.work(5)));
    expect(await one.peak()).toBe(1);
    const many = ConcurrentActor.options({ maxConcurrency: 3 }).create();
    await get(Array.from({ length: 9 }, () => many.work(20)));
    expect(await many.peak()).toBe(3);
  });
});

describe('deadlines and cancellation', () => {
  it('ends a call at its deadline and aborts the signal of the callee', async () => {
    const counter = CounterActor.create();
    await expect(counter.waitForAbort.options({ timeoutMs: 50 })()).rejects.toMatchObject({
      name: 'TaskTimeoutError',
    });
    expect(await counter.add(1)).toBe(1);
  });

  it('cancels a queued call without running it', async () => {
    const counter = CounterActor.create();
    const blocker = counter.slowly(100, 'done');
    const queued = counter.add(1);
    await cancel(queued);
    await expect(queued).rejects.toMatchObject({ name: 'TaskCancelledError' });
    await blocker;
    expect(await counter.value()).toBe(0);
  });

  it('follows an AbortSignal', async () => {
    const counter = CounterActor.create();
    const controller = new AbortController();
    const ref = counter.waitForAbort.options({ signal: controller.signal })();
    await counter.value
      .options({ signal: AbortSignal.timeout(20) })()
      .catch(() => undefined);
    controller.abort();
    await expect(ref).rejects.toMatchObject({ name: 'TaskCancelledError' });
  });

  it('runs calls with one idempotency key once', async () => {
    const counter = CounterActor.create();
    const add = counter.add.options({ idempotencyKey: 'k' });
    expect(await get([add(1), add(1), add(1)])).toEqual([1, 1, 1]);
    expect(await counter.value()).toBe(1);
  });
});

describe('listTasks()', () => {
  it('lists the calls of actors that have not ended', async () => {
    const counter = CounterActor.create();
    await counter.value(); // An answer: the connection is open, so calls leave at once.
    const refs = [counter.slowly(3_000, 'done'), counter.add(1)];
    const ours = () => listTasks({ actorId: actorIdOf(counter) as never });
    expect(await ours()).toMatchObject([
      { name: 'Counter.slowly', state: 'submitted-to-worker', objectId: refs[0]?.id },
      { name: 'Counter.add', state: 'submitted-to-worker' },
    ]);
    await get(refs as never);
    expect(await ours()).toEqual([]);
  });
});

describe('streams', () => {
  it('yields values in order', async () => {
    const streamer = StreamerActor.create();
    const seen: number[] = [];
    for await (const value of streamer.numbers(1000)) seen.push(value);
    expect(seen).toEqual(Array.from({ length: 1000 }, (_, index) => index));
  });

  it('throws the error of the generator at its place', async () => {
    const streamer = StreamerActor.create();
    const seen: number[] = [];
    const run = async (): Promise<void> => {
      for await (const value of streamer.failing(3)) seen.push(value);
    };
    await expect(run()).rejects.toMatchObject({ name: 'TaskError' });
    expect(seen).toEqual([0, 1, 2]);
  });

  it('streams also when the method is no generator', async () => {
    const streamer = StreamerActor.create();
    const seen: number[] = [];
    for await (const value of streamer.hidden(3)) seen.push(value);
    expect(seen).toEqual([0, 1, 2]);
  });
});

describe('get, wait, names, pools and queues', () => {
  it('gives GetTimeoutError, and waits for some', async () => {
    const counter = ConcurrentActor.options({ maxConcurrency: 10 }).create();
    const slow = counter.work(10_000);
    const fast = counter.work(1);
    await expect(get(slow, { timeoutMs: 30 })).rejects.toMatchObject({ name: 'GetTimeoutError' });
    const { ready: done, pending } = await wait([slow, fast]);
    expect(done).toEqual([fast]);
    expect(pending).toEqual([slow]);
    await expect(wait([fast, fast])).rejects.toThrow(/twice/);
    expect(await wait([])).toEqual({ ready: [], pending: [] });
    await kill(counter);
  });

  it('finds named actors and creates one of a name at most once', async () => {
    const options = { name: 'the-counter', getIfExists: true };
    const handles = Array.from({ length: 5 }, () => CounterActor.options(options).create(10));
    const values = await get(handles.map((handle) => handle.add(1)));
    expect([...values].sort((a, b) => a - b)).toEqual([11, 12, 13, 14, 15]);
    const found = await getActor('the-counter');
    expect(await found.value()).toBe(15);
    const second = CounterActor.options({ name: 'the-counter' }).create();
    await expect(second.value()).rejects.toMatchObject({ name: 'NameTakenError' });
    await expect(getActor('nobody')).rejects.toMatchObject({ name: 'ActorNotFoundError' });
    await kill(found);
  });

  it('finds by its name, and lists, what it has just made', async () => {
    const made = CounterActor.options({ name: 'just made' }).create(3);
    expect(await (await getActor('just made')).value()).toBe(3);
    const unnamed = CounterActor.create();
    const listed = (await listActors()).map(({ actorId }) => actorId);
    expect(listed).toEqual(expect.arrayContaining([actorIdOf(made), actorIdOf(unnamed)]));
    await kill(made);
  });

  it('passes on a handle of getIfExists before it is known which actor that is', async () => {
    const options = { name: 'passed on', getIfExists: true };
    const first = CounterActor.options(options).create(10);
    const parent = ParentActor.create();
    await get([first.value(), parent.addTo(first, 0)]);
    expect(await parent.addTo(CounterActor.options(options).create(), 1)).toBe(11);
    const kept = put({ handle: CounterActor.options(options).create() });
    await first.value();
    const { handle } = await kept;
    expect(await handle.add(1)).toBe(12);
    expect(actorIdOf(handle)).toBe(actorIdOf(first));
    await kill(first);
  });

  it('maps over a pool', async () => {
    const pool = new ActorPool([CounterActor.create(), CounterActor.create()]);
    const seen: number[] = [];
    for await (const value of pool.map(
      (actor, item: number) => actor.echo(item * 2),
      [1, 2, 3, 4, 5],
    ))
      seen.push(value);
    expect(seen).toEqual([2, 4, 6, 8, 10]);
    const unordered: number[] = [];
    for await (const value of pool.mapUnordered(
      (actor, item: number) => actor.echo(item),
      [1, 2, 3],
    ))
      unordered.push(value);
    expect(unordered.sort((a, b) => a - b)).toEqual([1, 2, 3]);
  });

  it('queues items', async () => {
    const queue = new Queue<string>({ maxSize: 2 });
    await queue.put('a');
    await queue.put('b');
    await expect(queue.put('c', { timeoutMs: 30 })).rejects.toMatchObject({
      name: 'GetTimeoutError',
    });
    expect(await queue.get()).toBe('a');
    await queue.put('c');
    expect([await queue.get(), await queue.get(), await queue.size()]).toEqual(['b', 'c', 0]);
    await expect(queue.get({ timeoutMs: 30 })).rejects.toMatchObject({ name: 'GetTimeoutError' });
  });

  it.each(['process', 'thread', 'shared'] as const)(
    'has queues that actors make (isolation %s)',
    async (isolation) => {
      expect(await QueueUserActor.options({ isolation }).create().pass(5)).toBe(5);
    },
  );

  it('carries queues in arguments, results and refs', async () => {
    const queue = new Queue<number>({ maxSize: 1 });
    const [producer, consumer] = [QueueUserActor.create(), QueueUserActor.create()];
    const sum = consumer.sum({ queue }, 3);
    await producer.fill({ queue }, 3);
    expect(await sum).toBe(6);
    const echoed = (await CounterActor.create().echo({ queues: [queue] })) as {
      queues: Queue<number>[];
    };
    expect(echoed.queues[0]).toBeInstanceOf(Queue);
    await echoed.queues[0]?.put(7);
    expect(await queue.size()).toBe(1);
    expect(await consumer.sum(put({ queue }), 1)).toBe(7);
  });

  it('stops gracefully after the queued calls', async () => {
    const counter = CounterActor.create();
    const refs = [counter.slowly(50, 'first'), counter.add(1), counter.add(1)] as const;
    await stop(counter);
    expect(await get(refs as never)).toEqual(['first', 1, 2]);
    await expect(counter.add(1)).rejects.toMatchObject({
      name: 'ActorDiedError',
      deathCause: { kind: 'stopped' },
    });
  });

  it('explains an unplaceable actor per node', async () => {
    const greedy = CounterActor.options({ cpus: 1000 }).create();
    const ref = greedy.value();
    await expect(get(ref, { timeoutMs: 100 })).rejects.toMatchObject({ name: 'GetTimeoutError' });
    const why = await explain(ref);
    expect(Object.values(why.perNode ?? {}).join()).toMatch(/1000/);
    await kill(greedy);
  });

  it.each(['process', 'thread', 'shared'] as const)(
    'runs actors of isolation %s',
    async (isolation) => {
      const counters = Array.from({ length: 3 }, (_, index) =>
        CounterActor.options({ isolation }).create(index),
      );
      await Promise.all(counters.map((counter) => ready(counter)));
      expect(await get(counters.map((counter) => counter.add(1)))).toEqual([1, 2, 3]);
      const contexts = await get(counters.map((counter) => counter.context()));
      expect(new Set(contexts.map(({ actorId }) => actorId)).size).toBe(3);
      await expect(counters[0]!.leave()).rejects.toMatchObject({
        name: 'ActorDiedError',
        deathCause: { kind: 'exited' },
      });
      expect(await counters[1]!.add(1)).toBe(3);
      await kill(counters[1]!);
      await expect(counters[1]!.add(1)).rejects.toMatchObject({
        name: 'ActorDiedError',
        deathCause: { kind: 'killed' },
      });
      expect((await listActors({ className: 'Counter', state: 'alive' })).length).toBeGreaterThan(
        0,
      );
    },
  );
});
