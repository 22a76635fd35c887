import { afterAll, beforeAll, expect, it } from 'vitest';
import {
  actorIdOf,
  explain,
  getActor,
  init,
  kill,
  listActors,
  shutdown,
  stop,
  type ActorOptions,
} from '@manta/sdk';
import { collectGarbage } from '@manta/runtime/core/garbage';
import { waitFor } from '@manta/runtime/testing/wait-for';
import { CallerActor } from './fixtures/callers.ts';
import { GateActor } from './fixtures/gates.ts';
import { LifeActor, StillbornActor } from './fixtures/lives.ts';
import { Journals } from './testing/journal.ts';

const journals = new Journals();

beforeAll(async () => {
  await init({ cpus: 32, namespace: 'late', logToDriver: false });
});
afterAll(async () => {
  await shutdown();
  journals.remove();
});

/** An actor whose constructor waits for a ref until the gate is opened. */
function createLate(options: ActorOptions = {}) {
  const journal = journals.create();
  const gate = GateActor.options({ maxConcurrency: 2 }).create();
  const file = gate.passOn(journal.file);
  const late = LifeActor.options(options).create(file);
  return { journal, gate, file, late, actorId: actorIdOf(late) };
}

async function isDead(actorId: string, kind: string): Promise<boolean> {
  const info = (await listActors()).find((actor) => actor.actorId === actorId);
  return info?.state === 'dead' && info.deathCause?.kind === kind;
}

const dead = (actorId: string, kind: string) =>
  waitFor(() => isDead(actorId, kind), { describe: `${actorId} is dead: ${kind}` });

it('is explained by what its constructor waits for: the actor, its calls, and in other processes', async () => {
  const before = Date.now();
  const { gate, file, late } = createLate();
  const call = late.add(1);
  const forActor = await explain(late);
  expect(forActor).toMatchObject({ state: 'waiting-for-dependencies' });
  expect(forActor.reason).toContain(`ref ${file.id} (Gate.passOn of actor ${actorIdOf(gate)})`);
  expect(forActor.since).toBeGreaterThanOrEqual(before);
  expect(forActor.since).toBeLessThanOrEqual(Date.now());
  expect((await explain(call)).reason).toMatch(
    /Life\.add waits .*Its constructor waits for .*Gate\.passOn/,
  );
  const elsewhere = CallerActor.create().whyNot(late);
  expect(await elsewhere).toMatch(/Its constructor waits for refs; driver .*, which creates it/);
  await gate.open();
  expect(await call).toBe(1);
});

it('is found by name and by handle meanwhile, and answers once it is there', async () => {
  const { gate, late, journal } = createLate({ name: 'late', maxRestarts: 2, maxTaskRetries: 2 });
  await expect.poll(async () => actorIdOf(await getActor('late'))).toBe(actorIdOf(late));
  const call = CallerActor.create().crash({ life: late }, 'line', 1);
  await gate.open();
  expect(await call).toBe('line');
  expect(journal.count('line')).toBe(2);
});

it('killed meanwhile it is never made', async () => {
  const { gate, file, late, journal, actorId } = createLate();
  const call = late.add(1);
  await kill(late);
  await expect(call).rejects.toMatchObject({
    name: 'ActorDiedError',
    deathCause: { kind: 'killed' },
  });
  await dead(actorId, 'killed');
  await gate.open();
  expect(await LifeActor.create(file).add(2)).toBe(2);
  expect(journal.lines()).toEqual(['constructed']);
  expect(await explain(late)).toMatchObject({ state: 'dead' });
});

it('stopped meanwhile it ends at once, or after the calls that wait for it', async () => {
  const idle = createLate();
  await stop(idle.late);
  await dead(idle.actorId, 'stopped');
  const called = createLate();
  const call = called.late.note('last');
  const stopped = stop(called.late);
  await called.gate.open();
  expect(await call).toBe('last');
  await stopped;
  await dead(called.actorId, 'stopped');
});

/** What is made here has no handle here any more. */
async function makeAndKeep() {
  const [lost, kept] = [createLate(), createLate()];
  const keeper = CallerActor.create();
  await keeper.keep({ life: kept.late });
  const { late: _lost, ...forgotten } = lost;
  const { late: _kept, ...elsewhere } = kept;
  return { forgotten, elsewhere, keeper };
}

it('without a handle it goes out of scope and is never made, unless another process has one', async () => {
  const { forgotten, elsewhere, keeper } = await makeAndKeep();
  await waitFor(
    async () => {
      await collectGarbage();
      return isDead(forgotten.actorId, 'out-of-scope');
    },
    { describe: 'it goes out of scope' },
  );
  await Promise.all([forgotten.gate.open(), elsewhere.gate.open()]);
  expect(await keeper.addToKept(3)).toBe(3);
  await LifeActor.create(forgotten.file).add(1);
  expect(forgotten.journal.lines()).toEqual(['constructed']);
});

it('an argument that fails is what its calls fail with, and why it died to others', async () => {
  const failing = StillbornActor.create(journals.create().file).ping();
  const late = LifeActor.create(failing);
  const told = CallerActor.create().causeOfDeath(late);
  await expect(late.add(1)).rejects.toMatchObject({ name: 'ActorDiedError' });
  expect(await told).toMatchObject({ name: 'ActorDiedError' });
  await kill(late);
  await dead(actorIdOf(late), 'constructor-failed');
});
