import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { collectGarbage } from '@manta/runtime/core/garbage';
import { waitFor } from '@manta/runtime/testing/wait-for';
import { cancel, init, put, shutdown, type ActorHandle, type ObjectRefStream } from '@manta/sdk';
import { countTask, DropperActor, SourceActor } from './fixtures/streams.ts';
import { add } from './fixtures/tasks.ts';
import { coreOf } from './testing/core.ts';
import { Journals, type Journal } from './testing/journal.ts';

/** Far more than a producer runs ahead by. */
const MANY = 1_000_000;
const journals = new Journals();

beforeAll(async () => {
  await init({ cpus: 1, logToDriver: false });
});
afterAll(async () => {
  journals.remove();
  await shutdown();
});

async function expectOverAfterCollection(journal: Journal): Promise<void> {
  await waitFor(
    async () => {
      await collectGarbage();
      return journal.count('finally') === 1;
    },
    { describe: 'the producer ends' },
  );
}

const createSource = () => SourceActor.options({ cpus: 0 }).create();
type Source = ReturnType<typeof createSource>;

/** What users let go of, in functions of their own: nothing of it stays in a variable. */
const DROPS: [string, (source: Source, file: string) => Promise<unknown>][] = [
  [
    'a stream that nobody reads',
    (source, file) => {
      source.items(file, MANY);
      return Promise.resolve();
    },
  ],
  [
    'an iterator that is not read on',
    (source, file) => source.items(file, MANY)[Symbol.asyncIterator]().next(),
  ],
  [
    'refs that are not read on',
    (source, file) => source.items(file, MANY).refs()[Symbol.asyncIterator]().next(),
  ],
  [
    'an iterator of a method that is no generator',
    (source, file) => source.hidden(file, MANY)[Symbol.asyncIterator]().next(),
  ],
  ['a stream of a task', (_source, file) => countTask(file, MANY)[Symbol.asyncIterator]().next()],
];

describe('a stream that is let go of', () => {
  it.each(DROPS)('frees its producer: %s', async (_what, drop) => {
    const journal = journals.create();
    const source = createSource();
    // What is cancelled before it has started has nothing to end.
    await source.ping();
    await drop(source, journal.file);
    await expectOverAfterCollection(journal);
    expect(await source.ping()).toBe('pong');
    expect(await add(1, 2)).toBe(3);
  });

  it('is found by a process that does nothing else', async () => {
    const journal = journals.create();
    const source = createSource();
    const dropper = DropperActor.options({ cpus: 0 }).create();
    expect(await dropper.drop(source as ActorHandle<never>, journal.file)).toBe(0);
    expect(await source.ping()).toBe('pong');
    expect(journal.lines()).toEqual(['finally']);
  });

  it('goes on while one of its iterators is held', async () => {
    const journal = journals.create();
    const iterator = createSource().items(journal.file, 200)[Symbol.asyncIterator]();
    await collectGarbage();
    for (let value = 0; value < 200; value += 1)
      expect(await iterator.next()).toEqual({ done: false, value });
    expect((await iterator.next()).done).toBe(true);
  });
});

describe('a stream that is done with', () => {
  const DONE: [string, (stream: ObjectRefStream<unknown>) => unknown][] = [
    ['disposed of', (stream) => stream[Symbol.dispose]()],
    ['cancelled', (stream) => stream.cancel()],
    ['cancelled by cancel()', (stream) => cancel(stream)],
  ];
  it.each(DONE)('frees its producer when it is %s', async (_what, end) => {
    const journal = journals.create();
    const source = createSource();
    for (const stream of [source.items(journal.file, MANY), source.hidden(journal.file, MANY)]) {
      void source.ping();
      await end(stream);
    }
    expect(await source.ping()).toBe('pong');
    expect(await source.runs()).toBeLessThanOrEqual(1);
  });

  const TOLD: [string, (stream: ObjectRefStream<unknown>) => unknown, object][] = [
    ['was cancelled by cancel()', (stream) => cancel(stream), { name: 'TaskCancelledError' }],
    ['has ended, where its reader cancelled it', (stream) => stream.cancel(), { done: true }],
  ];
  it.each(TOLD)('tells who reads on that it %s', async (_what, end, expected) => {
    const journal = journals.create();
    const stream = createSource().items(journal.file, MANY);
    const iterator = stream[Symbol.asyncIterator]();
    await iterator.next();
    // The loop reads as fast as it can: it waits for an item when the stream ends.
    const reading = (async (): Promise<IteratorResult<unknown>> => {
      let item = await iterator.next();
      while (item.done !== true) item = await iterator.next();
      return item;
    })();
    await end(stream);
    expect(await reading.catch((error: unknown) => error)).toMatchObject(expected);
  });

  it('frees what lies in the store unread', async () => {
    const journal = journals.create();
    const { store } = coreOf(put(1));
    const liveSlots = (): number => store.statistics()?.liveSlots ?? 0;
    for await (const item of createSource().items(journal.file, 30, 1_000_000)) {
      if ((item as Uint8Array)[0] === 2) break;
    }
    await collectGarbage();
    await waitFor(() => liveSlots() === 0, { describe: 'an empty store' });
    expect(journal.lines()).toEqual(['finally']);
  });
});

describe('several who read one stream', () => {
  it('get each item once, in the order in which they asked', async () => {
    const journal = journals.create();
    const stream = createSource().items(journal.file, 200);
    const iterators = [stream[Symbol.asyncIterator](), stream[Symbol.asyncIterator]()];
    const results = await Promise.all(
      Array.from({ length: 202 }, (_, index) => iterators[index % 2]?.next()),
    );
    expect(results.map((result) => result?.value)).toEqual([
      ...Array.from({ length: 200 }, (_, index) => index),
      undefined,
      undefined,
    ]);
  });
});

describe('streams and idempotency keys', () => {
  it('do not go together', async () => {
    const journal = journals.create();
    const source = createSource();
    const refusal = {
      name: 'InvalidArgumentError',
      message: expect.stringMatching(/gives a stream.*without idempotencyKey/) as string,
    };
    expect(() => source.items.options({ idempotencyKey: 'k' })(journal.file, 3)).toThrow(
      expect.objectContaining(refusal) as Error,
    );
    const read = async (): Promise<unknown> => {
      const stream = source.hidden.options({ idempotencyKey: 'k' })(journal.file, 3);
      return stream[Symbol.asyncIterator]().next();
    };
    await expect(read()).rejects.toMatchObject(refusal);
    await expect(read()).rejects.toMatchObject(refusal);
    expect([await source.runs(), journal.lines()]).toEqual([1, []]);
  });
});
