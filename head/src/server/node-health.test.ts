import type { ActorSpec } from '@manta/runtime/wire/messages';
import { afterEach, describe, expect, it } from 'vitest';
import type { FakeAgent } from '../sim/fake-agent.ts';
import type { FakeProcess } from '../sim/fake-process.ts';
import { SimWorld, type SimWorldOptions } from '../sim/sim-world.ts';

let world: SimWorld;

async function start(
  options: SimWorldOptions = {},
): Promise<{ agent: FakeAgent; driver: FakeProcess }> {
  world = await SimWorld.start(options);
  const agent = world.addAgent();
  await world.until(() => agent.isRegistered);
  const driver = world.addProcess();
  agent.linkDriver(driver.processId);
  return { agent, driver };
}

async function alive(driver: FakeProcess, changes: Partial<ActorSpec> = {}): Promise<ActorSpec> {
  const spec = driver.spec(changes);
  expect(await world.run(driver.create([spec]))).toEqual([{}]);
  await world.until(() => driver.stateOf(spec.actorId) === 'alive');
  return spec;
}

afterEach(() => world.close());

describe('a node that was declared dead', () => {
  it('is refused, and comes back as another one with nothing on it', async () => {
    const { agent, driver } = await start();
    const spec = await alive(driver, { maxRestarts: 1 });
    const { nodeId } = agent;
    world.partition(agent);
    await world.until(() => driver.stateOf(spec.actorId) === 'restarting');
    // Fenced before the head gave the actor up: at no time two of it.
    expect(agent.fencedCount).toBe(1);
    expect(agent.living.size).toBe(0);
    world.heal(agent);
    await world.until(() => driver.stateOf(spec.actorId) === 'alive');
    expect(agent.nodeId).not.toBe(nodeId);
  });
});

describe('a head that was stalled', () => {
  it('blames no node for its own silence', async () => {
    const { agent, driver } = await start();
    const spec = await alive(driver, { maxRestarts: 1 });
    world.clock.jump(60_000);
    await world.clock.advance(10_000);
    expect(driver.newest.get(spec.actorId)?.incarnation).toBe(agent.fencedCount);
    expect(world.head.cluster.nodes.get(agent.nodeId)?.state).toBe('alive');
  });
});

describe('a node whose heartbeats do not come through', () => {
  it('is not given up while it answers when asked', async () => {
    let isMuted = false;
    const { agent, driver } = await start({
      fault: ({ subject }) => (isMuted && subject.endsWith('.heartbeat') ? 'drop' : { delayMs: 1 }),
    });
    const spec = await alive(driver);
    isMuted = true;
    const { heartbeats } = world.head.counters;
    await world.clock.advance(20_000);
    expect(world.head.counters.heartbeats).toBe(heartbeats);
    expect(world.head.cluster.nodes.get(agent.nodeId)?.state).toBe('alive');
    isMuted = false;
    await world.clock.advance(5_000);
    expect(world.head.counters.heartbeats).toBeGreaterThan(heartbeats);
    expect(driver.newest.get(spec.actorId)).toMatchObject({ state: 'alive', incarnation: 0 });
  });
});
