import { afterAll, beforeAll, expect, it } from 'vitest';
import { get, init, kill, Queue, shutdown } from '@manta/sdk';
import { LAST, QueueClientActor } from './fixtures/queue-clients.ts';

const ITEMS = 400;
const IMPATIENT_MS = 1;

beforeAll(async () => {
  await init({ cpus: 8, logToDriver: false });
});
afterAll(() => shutdown());

const sorted = (items: number[]): number[] => items.sort((a, b) => a - b);

it.each([0, 2])(
  'nothing is lost, nothing comes twice, and all comes in order, however short the waits (maxSize %s)',
  async (maxSize) => {
    const queue = new Queue<number>({ maxSize });
    const producers = [QueueClientActor.create(), QueueClientActor.create()];
    const consumers = [1, 2, 3].map(() => QueueClientActor.create());
    const taken = consumers.map((consumer) => consumer.takeAll({ queue }, IMPATIENT_MS));
    const puts = producers.map((producer, index) => {
      // Even items from one, odd ones from the other.
      const items = Array.from({ length: ITEMS }, (_, count) => 2 * count + index);
      return producer.putAll({ queue }, items, IMPATIENT_MS);
    });
    await get(puts);
    for (const _ of consumers) await queue.put(LAST);
    const lists = await get(taken);
    expect(sorted(lists.flat())).toEqual(Array.from({ length: 2 * ITEMS }, (_, item) => item));
    for (const list of lists) {
      const even = list.filter((item) => item % 2 === 0);
      const odd = list.filter((item) => item % 2 === 1);
      expect([even, odd]).toEqual([sorted([...even]), sorted([...odd])]);
    }
  },
);

it('who dies while it waits takes nothing along', async () => {
  const queue = new Queue<number>();
  const victim = QueueClientActor.create();
  const dying = victim.takeOne({ queue });
  await expect.poll(() => victim.isTaking(), { timeout: 10_000 }).toBe(true);
  await kill(victim);
  await expect(dying).rejects.toMatchObject({ name: 'ActorDiedError' });
  const heir = queue.get();
  await queue.put(1);
  await queue.put(2);
  expect([await heir, await queue.get()]).toEqual([1, 2]);
});

it('more waiting calls than anybody has do not keep others out', async () => {
  const queue = new Queue<number>({ maxSize: 1 });
  const waiting = Array.from({ length: 12_000 }, () => queue.get());
  expect(await queue.size()).toBe(0);
  await Promise.all(waiting.map((_, item) => queue.put(item)));
  expect(await Promise.all(waiting)).toEqual(waiting.map((_, item) => item));
});

it('options that there are not are refused', async () => {
  expect(() => new Queue({ size: 1 } as object)).toThrow(
    /Unknown Queue option "size"; known: maxSize/,
  );
  const queue = new Queue<number>();
  await expect(queue.get({ timeout: 1 } as object)).rejects.toThrow(/"timeout"; known: timeoutMs/);
  await expect(queue.put(1, { timeoutMs: -1 })).rejects.toThrow(/0 or more; got -1/);
});
