import { afterAll, beforeAll, expect, it } from 'vitest';
import { cancel, defineTask, free, get, init, put, shutdown, wait } from '@manta/sdk';

const count = defineTask(import.meta, function* count() {
  yield 1;
});

beforeAll(async () => {
  await init({ cpus: 1, logToDriver: false });
});
afterAll(() => shutdown());

// Programs in JavaScript have no compiler that would tell them.
const wrong: readonly [string, () => unknown, RegExp][] = [
  ['get of a number', () => get(5 as never), /get\(\) takes a ref or a list of refs; got number/],
  ['get of a promise', () => get(Promise.resolve(1) as never), /got a Promise: await it/],
  ['get of a stream', () => get(count() as never), /got a stream: iterate over it/],
  ['get of a list with null', () => get([put(1), null as never]), /item 1 is null/],
  ['a timeout that no timer holds', () => get([put(1)], { timeoutMs: Infinity }), /at most/],
  ['wait for one ref', () => wait(put(1) as never), /wait\(\) takes a list of refs; got one ref/],
  ['wait for a list in a list', () => wait([[put(1)] as never]), /item 0 is a list/],
  ['wait with a timeout in the past', () => wait([put(1)], { timeoutMs: -1 }), /0 or more; got -1/],
  ['free of one ref', () => free(put(1) as never), /free\(\) takes a list of refs; got one ref/],
  ['cancel of a list', () => cancel([put(1)] as never), /cancel\(\) takes .* got a list/],
  ['a class as a task', () => defineTask(import.meta, class Job {} as never), /with defineActor/],
];

it.each(wrong)('%s is refused and says what was wanted', async (_what, use, message) => {
  const used = (async () => await use())();
  await expect(used).rejects.toMatchObject({
    name: 'InvalidArgumentError',
    message: expect.stringMatching(message) as unknown,
  });
});
