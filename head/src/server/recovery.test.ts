import type { DeathCause } from '@manta/runtime/errors/death-cause';
import { Acknowledgement, type ActorSpec } from '@manta/runtime/wire/messages';
import { afterEach, describe, expect, it } from 'vitest';
import type { FakeAgent } from '../sim/fake-agent.ts';
import type { FakeProcess } from '../sim/fake-process.ts';
import { SimWorld, type SimWorldOptions } from '../sim/sim-world.ts';

const CRASH: DeathCause = { kind: 'process-died', message: 'exit code 1', exitCode: 1 };
let world: SimWorld;

async function start(
  options: SimWorldOptions = {},
): Promise<{ agent: FakeAgent; driver: FakeProcess }> {
  const started = await SimWorld.withNode(options);
  ({ world } = started);
  return started;
}

afterEach(() => world.close());

describe('a head that was killed and started again', () => {
  it('finds nodes and actors alive, under their names, with their resources', async () => {
    const { agent, driver } = await start();
    const spec = await world.startActor(driver, {
      name: 'counter',
      demand: { resources: { cpus: 3 } },
    });
    world.killHead();
    await world.clock.advance(1_000);
    await world.restartHead();
    await world.until(() => agent.isRegistered && agent.epoch === '2');
    expect(agent.living.get(spec.actorId)?.incarnation).toBe(0);
    const [taken] = await world.run(driver.create([driver.spec({ name: 'counter' })]));
    expect(taken?.error?.name).toBe('NameTakenError');
    const waiting = driver.spec({ demand: { resources: { cpus: 2 } } });
    await world.run(driver.create([waiting]));
    await world.clock.advance(500);
    expect(agent.living.has(waiting.actorId)).toBe(false);
    await world.clock.advance(40_000);
    expect(agent.living.has(spec.actorId)).toBe(true);
    await world.run(driver.ask('actor.kill', { actorId: spec.actorId }, Acknowledgement));
    await world.until(() => driver.stateOf(waiting.actorId) === 'alive');
  });

  it('hears what happened meanwhile, with its true cause', async () => {
    const { agent, driver } = await start();
    const exited = await world.startActor(driver, { maxRestarts: -1 });
    const crashed = await world.startActor(driver, { maxRestarts: 1 });
    world.killHead();
    agent.end(exited.actorId, { kind: 'exited', message: 'exitActor()' });
    agent.end(crashed.actorId, CRASH);
    await world.restartHead();
    await world.until(() => driver.newest.get(crashed.actorId)?.incarnation === 1);
    await world.until(() => driver.stateOf(exited.actorId) === 'dead');
    expect(driver.newest.get(exited.actorId)?.deathCause?.kind).toBe('exited');
    await world.until(() => driver.stateOf(crashed.actorId) === 'alive');
  });

  it('places what was asked for before, and what its node never heard of', async () => {
    const { agent, driver } = await start();
    world.partition(agent);
    const spec = driver.spec();
    await world.run(driver.create([spec]));
    world.killHead();
    world.heal(agent);
    await world.restartHead();
    await world.until(() => driver.stateOf(spec.actorId) === 'alive');
    expect(agent.living.get(spec.actorId)?.incarnation).toBe(0);
  });

  it('takes a node that does not come back for dead', async () => {
    const { agent, driver } = await start();
    const spec = await world.startActor(driver, { maxRestarts: 1 });
    world.killHead();
    await agent.die();
    await world.restartHead();
    const other = world.addAgent();
    await world.until(() => other.living.has(spec.actorId));
    await world.until(() => driver.newest.get(spec.actorId)?.incarnation === 1);
    expect(world.head.cluster.nodes.get(agent.nodeId)?.state).toBe('dead');
  });

  it('ends what nobody holds any more, and what its owner left', async () => {
    const { agent, driver } = await start();
    const other = world.addProcess();
    const dropped = await world.startActor(driver);
    const orphan = await world.startActor(other, { maxRestarts: -1 });
    const detached = await world.startActor(driver, { lifetime: 'detached' });
    driver.held.delete(dropped.actorId);
    driver.held.add(orphan.actorId);
    other.held.clear();
    world.killHead();
    agent.drivers.delete(other.processId);
    await world.restartHead();
    await world.clock.advance(20_000);
    expect(agent.living.has(dropped.actorId)).toBe(true);
    await world.clock.advance(15_000);
    expect(agent.living.has(dropped.actorId)).toBe(false);
    expect(agent.living.has(detached.actorId)).toBe(true);
  });

  it('has a node end what it does not want', async () => {
    const { agent, driver } = await start();
    const spec = await world.startActor(driver);
    world.partition(agent);
    await world.run(driver.ask('actor.kill', { actorId: spec.actorId }, Acknowledgement));
    world.killHead();
    world.heal(agent);
    await world.restartHead();
    await world.until(() => !agent.living.has(spec.actorId));
    expect(world.head.cluster.actors.get(spec.actorId)?.record.state).toBe('dead');
    await world.until(() => world.head.cluster.nodes.get(agent.nodeId)?.reservations.size === 0);
  });

  it('answers nothing that it could lose', async () => {
    const { agent, driver } = await start();
    const created: ActorSpec[] = [];
    for (let round = 0; round < 5; round++) {
      const specs = Array.from({ length: 20 }, () => driver.spec());
      const asked = specs.map((spec) =>
        driver.create([spec]).then(
          () => created.push(spec),
          () => undefined,
        ),
      );
      await world.clock.advance(round);
      world.killHead();
      await world.run(Promise.all(asked));
      await world.restartHead();
    }
    expect(created.length).toBeGreaterThan(0);
    for (const spec of created) await world.until(() => agent.living.has(spec.actorId));
  });
});
