import { ActorHoldReply, Explanation } from '@manta/runtime/wire/actor-messages';
import type { ActorSpec } from '@manta/runtime/wire/messages';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { FakeProcess } from '../sim/fake-process.ts';
import { SimWorld } from '../sim/sim-world.ts';

let world: SimWorld;
let driver: FakeProcess;

beforeEach(async () => {
  world = await SimWorld.start();
  const agent = world.addAgent();
  await world.until(() => agent.isRegistered);
  driver = world.addProcess();
});
afterEach(() => world.close());

it('ends an actor a second after its last holder let go, not when another took it meanwhile', async () => {
  const other = world.addProcess();
  const [kept, dropped] = [await world.startActor(driver), await world.startActor(driver)];
  await world.run(driver.release([kept.actorId, dropped.actorId]));
  other.held.add(kept.actorId);
  await world.run(other.holdAgain());
  await world.clock.advance(900);
  expect(world.lives(dropped.actorId)).toHaveLength(1);
  await world.clock.advance(1_000);
  expect(world.lives(dropped.actorId)).toHaveLength(0);
  expect(world.lives(kept.actorId)).toHaveLength(1);
  const { reason } = await world.run(
    driver.ask('actor.explain', { actorId: dropped.actorId }, Explanation),
  );
  expect(reason).toBe('Its last handle was dropped.');
});

/** An actor of that name that went out of scope, and may start once more. */
async function startLost(name: string): Promise<ActorSpec> {
  const spec = await world.startActor(driver, { name, maxRestarts: 1 });
  await world.run(driver.release([spec.actorId]));
  await world.until(() => world.lives(spec.actorId).length === 0);
  return spec;
}

it('starts an actor that went out of scope again to make a result again, under its name if that is free', async () => {
  const [free, taken] = [await startLost('free'), await startLost('taken')];
  const other = await world.startActor(driver, { name: 'taken' });
  for (const { actorId } of [free, taken]) {
    await world.run(driver.holdToMakeAgain(actorId));
    await world.until(() => world.lives(actorId).length === 1);
  }
  const { actors } = world.head.cluster;
  expect(actors.named(free.namespace, 'free')?.record.spec.actorId).toBe(free.actorId);
  expect(actors.named(taken.namespace, 'taken')?.record.spec.actorId).toBe(other.actorId);
  // It is the driver's as it was before.
  await world.run(driver.release([free.actorId]));
  await world.until(() => world.lives(free.actorId).length === 0);
  await world.run(driver.tell('job.end', { jobId: driver.jobId, processId: driver.processId }));
  await world.until(() => world.lives(taken.actorId).length === 0);
  const late = world.addProcess();
  await world.run(late.holdToMakeAgain(taken.actorId));
  expect(actors.get(taken.actorId)?.record.state).toBe('dead');
});

it('leaves a name to the one that took it meanwhile, as does a head that is started anew', async () => {
  const taken = await startLost('taken');
  const other = await world.startActor(driver, { name: 'taken' });
  await world.run(driver.holdToMakeAgain(taken.actorId));
  await world.until(() => world.lives(taken.actorId).length === 1);
  world.killHead();
  await world.restartHead();
  await world.run(driver.holdAgain());
  const { actors } = world.head.cluster;
  expect(actors.get(taken.actorId)?.record).toMatchObject({ state: 'alive', restarts: 1 });
  expect(actors.get(taken.actorId)?.record.spec.name).toBeUndefined();
  expect(actors.named(taken.namespace, 'taken')?.record.spec.actorId).toBe(other.actorId);
});

it('knows an actor also by the id under which it was to be made once more', async () => {
  const first = await world.startActor(driver, { name: 'one' });
  const again = driver.spec({ name: 'one', getIfExists: true });
  for (let time = 0; time < 2; time += 1) {
    const [answer] = await world.run(driver.create([again]));
    expect(answer?.existing?.actorId).toBe(first.actorId);
  }
  const other = world.addProcess();
  const message = { processId: other.processId, actorIds: [again.actorId] };
  const { actors } = await world.run(other.ask('actor.hold', message, ActorHoldReply));
  expect(actors[0]?.actorId).toBe(first.actorId);
  // The other one holds it under its own id, and goes on to do so.
  await world.run(other.tell('actor.release', message));
  await world.run(driver.release([first.actorId]));
  await world.clock.advance(2_000);
  expect(world.lives(first.actorId)).toHaveLength(1);
  await world.run(other.release([first.actorId]));
  await world.until(() => world.lives(first.actorId).length === 0);
});
