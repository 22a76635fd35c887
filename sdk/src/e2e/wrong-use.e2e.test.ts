import { afterAll, beforeAll, expect, it } from 'vitest';
import {
  cancel,
  defineTask,
  free,
  get,
  getActor,
  init,
  kill,
  listActors,
  listObjects,
  put,
  ready,
  shutdown,
  wait,
} from '@manta/sdk';
import { startTestCluster } from '@manta/sdk/testing';
import { CounterActor } from './fixtures/actors.ts';

const count = defineTask(import.meta, function* count() {
  yield 1;
});

let counter: ReturnType<(typeof CounterActor)['create']>;

beforeAll(async () => {
  await init({ cpus: 1, logToDriver: false });
  counter = CounterActor.create();
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
  ['get with a number for its options', () => get(put(1), 500 as never), /an object.*got 500/],
  [
    'get with a word of Ray',
    () => get(put(1), { timeout: 1 } as object),
    /get\(\) option "timeout"/,
  ],
  ['wait', () => wait([put(1)], { num_returns: 1 } as object), /known: numReturns, timeoutMs/],
  ['put', () => put(1, { owner: 1 } as object), /Unknown put\(\) option "owner"; known: durable/],
  ['cancel', () => cancel(put(1), { now: true } as object), /"now"; known: force, recursive/],
  [
    'put that is nearly durable',
    () => put(1, { durable: 'yes' as never }),
    /true or false; got 'yes'/,
  ],
  [
    'cancel with a word for a flag',
    () => cancel(put(1), { force: 'yes' as never }),
    /"force" is true/,
  ],
  [
    'kill with a number for a flag',
    () => kill(counter, { restart: 1 as never }),
    /"restart" is true/,
  ],
  [
    'getActor of no namespace',
    () => getActor('a', { namespace: '' }),
    /"namespace" is a text; got ''/,
  ],
  ['listActors of a number', () => listActors({ name: 5 as never }), /"name" is a text; got 5/],
  [
    'listActors of a state',
    () => listActors({ state: 'up' as never }),
    /one of pending, .*got "up"/,
  ],
  ['getActor', () => getActor('a', { job: 1 } as object), /"job"; known: namespace/],
  ['ready', () => ready(counter, { timeout: 1 } as object), /"timeout"; known: timeoutMs/],
  ['ready with a timeout in the past', () => ready(counter, { timeoutMs: -1 }), /0 or more/],
  ['kill', () => kill(counter, { noRestart: true } as object), /"noRestart"; known: restart/],
  ['listActors', () => listActors({ class: 'A' } as object), /"class"; known: className/],
  ['listObjects', () => listObjects({ max: 1 } as object), /"max"; known: collectGarbage, limit/],
  ['a test cluster', () => startTestCluster({ heads: 3 } as object), /"heads"; known: nodes, nats/],
  ['a test node', () => startTestCluster({ nodes: [{ gpus: 0.5 }] }), /gpus must be a whole/],
  ['a class as a task', () => defineTask(import.meta, class Job {} as never), /with defineActor/],
];

it.each(wrong)('%s is refused and says what was wanted', async (_what, use, message) => {
  const used = (async () => await use())();
  await expect(used).rejects.toMatchObject({
    name: 'InvalidArgumentError',
    message: expect.stringMatching(message) as unknown,
  });
});
