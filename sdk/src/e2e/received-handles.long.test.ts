import { afterAll, beforeAll, expect, it } from 'vitest';
import { init, shutdown } from '@manta/sdk';
import { CallerActor } from './fixtures/callers.ts';
import { GateActor } from './fixtures/gates.ts';
import { Journals } from './testing/journal.ts';
import { livesWith } from './testing/lives.ts';

const journals = new Journals();
const createLife = livesWith(journals);

beforeAll(async () => {
  await init({ cpus: 16, logToDriver: false });
});
afterAll(async () => {
  await shutdown();
  journals.remove();
});

it('a call made with a handle that has just come runs as often as maxTaskRetries says', async () => {
  const { journal, actor: life } = createLife({ maxRestarts: -1, maxTaskRetries: 2 });
  const caller = CallerActor.create();
  expect(await caller.crash({ life }, 'good', 2)).toBe('good');
  expect(journal.count('good')).toBe(3);
  await expect(CallerActor.create().crash({ life }, 'bad', 100)).rejects.toMatchObject({
    cause: { name: 'ActorUnavailableError' },
  });
  expect(journal.count('bad')).toBe(3);
});

it('and again on what retryExceptions names', async () => {
  const { journal, actor: life } = createLife({ maxTaskRetries: -1, retryExceptions: ['Busy'] });
  expect(await CallerActor.create().fail(life, 'busy', 2)).toBe('busy');
  expect(journal.count('busy')).toBe(3);
});

it('maxPendingCalls holds for handles that came, and for self()', async () => {
  const gate = GateActor.options({ maxPendingCalls: 2 }).create();
  expect(await CallerActor.create().burst(gate, 5)).toEqual(Array(3).fill('BackpressureError'));
  const caller = CallerActor.options({ maxPendingCalls: 2, maxConcurrency: 3 }).create();
  expect(await caller.burstOnSelf(5)).toEqual(Array(3).fill('BackpressureError'));
});

it('allowOutOfOrderExecution holds for handles that came, and for those of getActor()', async () => {
  const gate = GateActor.options({ name: 'unordered', allowOutOfOrderExecution: true }).create();
  await gate.status();
  const source = () => GateActor.options({ maxConcurrency: 2 }).create();
  expect(await CallerActor.create().passesBy(gate, source())).toBe(true);
  expect(await CallerActor.create().passesByNamed('unordered', source())).toBe(true);
  expect(await CallerActor.create().passesBy(GateActor.create(), source())).toBe(false);
});
