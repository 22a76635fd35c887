import type { DeathCause } from '@manta/runtime/errors/death-cause';
import { ActorHoldReply } from '@manta/runtime/wire/actor-messages';
import { afterEach, expect, it } from 'vitest';
import { SimWorld } from '../sim/sim-world.ts';

const CRASH: DeathCause = { kind: 'process-died', message: 'exit code 1', exitCode: 1 };
let world: SimWorld;

async function start() {
  const started = await SimWorld.withNode();
  ({ world } = started);
  return started;
}

afterEach(() => world.close());

it('that cannot be sent to one process ends neither the head nor the news for others', async () => {
  const { agent, driver } = await start();
  const other = world.addDriver(agent);
  const broken = await world.startActor(driver);
  const sound = await world.startActor(other);
  const record = world.head.cluster.actors.get(broken.actorId)?.record;
  (record as { perNode?: Record<string, string> }).perNode = { n: 'x'.repeat(9 * 2 ** 20) };
  agent.end(broken.actorId, CRASH);
  agent.end(sound.actorId, CRASH);
  await world.until(() => other.stateOf(sound.actorId) === 'dead');
  await world.startActor(driver);
  expect(driver.stateOf(broken.actorId)).toBe('alive');
});

it('of its end goes to the creator that an actor needs, also without a handle', async () => {
  const { agent, driver } = await start();
  const other = world.addDriver(agent);
  const specs = [
    await world.startActor(driver, { needsOwner: true }),
    await world.startActor(driver),
  ];
  const actorIds = specs.map(({ actorId }) => actorId);
  await world.run(
    other.ask('actor.hold', { processId: other.processId, actorIds }, ActorHoldReply),
  );
  await world.run(driver.release(actorIds));
  for (const actorId of actorIds) agent.end(actorId, CRASH);
  await world.until(() => driver.stateOf(actorIds[0] as never) === 'dead');
  expect(driver.stateOf(actorIds[1] as never)).toBe('alive');
});
