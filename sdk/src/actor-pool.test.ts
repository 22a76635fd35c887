import { expect, it } from 'vitest';
import { ActorPool } from './actor-pool.ts';
import type { ActorHandle, ObjectRef } from './types.ts';

interface Worker {
  work(value: number): Promise<string>;
}

/** Stands in for an actor; each call of it ends when the test says so. */
class FakeActors {
  readonly calls = new Map<number, { resolve(): void; reject(error: Error): void; on: number }>();
  readonly handles: ActorHandle<Worker>[];

  constructor(count: number) {
    this.handles = Array.from({ length: count }, (_, on) => {
      const work = (value: number): Promise<string> =>
        new Promise((resolve, reject) => {
          this.calls.set(value, { resolve: () => resolve(`result ${value}`), reject, on });
        });
      return { work } as unknown as ActorHandle<Worker>;
    });
  }

  get running(): number[] {
    return [...this.calls.keys()];
  }

  end(value: number): Promise<void> {
    this.calls.get(value)?.resolve();
    this.calls.delete(value);
    return turn();
  }

  fail(value: number, error: Error): Promise<void> {
    this.calls.get(value)?.reject(error);
    this.calls.delete(value);
    return turn();
  }
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const work = (actor: ActorHandle<Worker>, value: number) => actor.work(value) as ObjectRef<string>;

/** Collects what comes, and says how it ended. */
function collect<R>(results: AsyncIterable<R>) {
  const collected: R[] = [];
  const ended = (async () => {
    for await (const result of results) collected.push(result);
  })();
  ended.catch(() => undefined);
  return { collected, ended };
}

/** Values that come when the test says so. */
class Source {
  returned = 0;
  readonly #values: number[] = [];
  #wake: () => void = () => undefined;

  push(...values: number[]): Promise<void> {
    this.#values.push(...values);
    this.#wake();
    return turn();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<number> {
    try {
      for (;;) {
        const value = this.#values.shift();
        if (value !== undefined) yield value;
        else await new Promise<void>((resolve) => (this.#wake = resolve));
      }
    } finally {
      this.returned += 1;
    }
  }
}

function* counted(values: number[], seen: { taken: number; returned: number }): Generator<number> {
  try {
    for (const value of values) {
      seen.taken += 1;
      yield value;
    }
  } finally {
    seen.returned += 1;
  }
}

it('map() gives results in the order of the values, and idle actors the next values meanwhile', async () => {
  const actors = new FakeActors(2);
  const { collected, ended } = collect(new ActorPool(actors.handles).map(work, [1, 2, 3, 4]));
  await turn();
  expect(actors.running).toEqual([1, 2]);
  await actors.end(2);
  expect(actors.running).toEqual([1, 3]);
  await actors.end(3);
  await actors.end(4);
  expect(collected).toEqual([]);
  await actors.end(1);
  await ended;
  expect(collected).toEqual([1, 2, 3, 4].map((value) => `result ${value}`));
});

it('mapUnordered() gives results as they come, each actor one piece at a time', async () => {
  const actors = new FakeActors(2);
  const { collected, ended } = collect(new ActorPool(actors.handles).mapUnordered(work, [1, 2, 3]));
  await turn();
  const { on } = actors.calls.get(2)!;
  await actors.end(2);
  expect(actors.calls.get(3)?.on).toBe(on);
  await actors.end(3);
  await actors.end(1);
  await ended;
  expect(collected).toEqual(['result 2', 'result 3', 'result 1']);
});

it.each(['map', 'mapUnordered'] as const)(
  '%s() gives results while the source has no further value, so that they may feed it',
  async (method) => {
    const actors = new FakeActors(3);
    const source = new Source();
    const { collected } = collect(new ActorPool(actors.handles)[method](work, source));
    await source.push(1);
    await actors.end(1);
    expect(collected).toEqual(['result 1']);
    await source.push(2);
    await actors.end(2);
    expect(collected).toEqual(['result 1', 'result 2']);
  },
);

it('takes no more values than there are actors free for them', async () => {
  const actors = new FakeActors(2);
  const seen = { taken: 0, returned: 0 };
  collect(new ActorPool(actors.handles).map(work, counted([1, 2, 3, 4], seen)));
  await turn();
  expect(seen.taken).toBe(2);
  await actors.end(1);
  expect(seen.taken).toBe(3);
});

it('an error comes at the place of its value, the source is returned, and the pool goes on', async () => {
  const actors = new FakeActors(2);
  const pool = new ActorPool(actors.handles);
  const seen = { taken: 0, returned: 0 };
  const first = collect(pool.map(work, counted([1, 2, 3, 4, 5], seen)));
  await turn();
  await actors.fail(2, new Error('no'));
  expect(first.collected).toEqual([]);
  await actors.end(1);
  await expect(first.ended).rejects.toThrow('no');
  expect(first.collected).toEqual(['result 1']);
  expect(seen.returned).toBe(1);
  const second = collect(pool.map(work, [6]));
  for (const value of [...actors.running]) await actors.end(value);
  await actors.end(6);
  await second.ended;
  expect(second.collected).toEqual(['result 6']);
});

it.each(['map', 'mapUnordered'] as const)(
  '%s(): what the source throws comes after the results of its values',
  async (method) => {
    const actors = new FakeActors(2);
    function* broken(): Generator<number> {
      yield 1;
      throw new Error('torn');
    }
    const { collected, ended } = collect(new ActorPool(actors.handles)[method](work, broken()));
    await turn();
    await actors.end(1);
    await expect(ended).rejects.toThrow('torn');
    expect(collected).toEqual(['result 1']);
  },
);

it('leaving the loop returns the source, also one that is being waited for, and actors come back', async () => {
  const actors = new FakeActors(2);
  const pool = new ActorPool(actors.handles);
  const source = new Source();
  const left = (async () => {
    for await (const result of pool.mapUnordered(work, source)) return result;
    return undefined;
  })();
  await source.push(1, 2);
  await actors.end(1);
  expect(await left).toBe('result 1');
  await source.push(3);
  expect([source.returned, actors.running]).toEqual([1, [2]]);
  await actors.end(2);
  collect(pool.map(work, [4, 5]));
  await turn();
  expect(actors.running).toEqual([4, 5]);
});

it('two runs share the actors of a pool, and neither keeps one that it has no value for', async () => {
  const actors = new FakeActors(1);
  const pool = new ActorPool(actors.handles);
  const source = new Source();
  const slow = collect(pool.map(work, source));
  const quick = collect(pool.map(work, [1, 2]));
  await turn();
  await actors.end(1);
  await source.push(3);
  await actors.end(2);
  await quick.ended;
  await actors.end(3);
  expect([quick.collected, slow.collected]).toEqual([['result 1', 'result 2'], ['result 3']]);
});
