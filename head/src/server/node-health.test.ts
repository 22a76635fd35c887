import { Explanation } from '@manta/runtime/wire/actor-messages';
import type { ActorSpec } from '@manta/runtime/wire/messages';
import { afterEach, describe, expect, it } from 'vitest';
import type { FakeAgent, FakeAgentOptions } from '../sim/fake-agent.ts';
import type { FakeProcess } from '../sim/fake-process.ts';
import { SimWorld, type SimWorldOptions } from '../sim/sim-world.ts';

let world: SimWorld;

async function start(
  options: SimWorldOptions = {},
  agentOptions: Partial<FakeAgentOptions> = {},
): Promise<{ agent: FakeAgent; driver: FakeProcess }> {
  const started = await SimWorld.withNode(options, agentOptions);
  ({ world } = started);
  return started;
}

afterEach(() => world.close());

describe('a node that was declared dead', () => {
  it('is refused, and comes back as another one with nothing on it', async () => {
    const { agent, driver } = await start();
    const spec = await world.startActor(driver, { maxRestarts: 1 });
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

describe('a driver that linked to another node', () => {
  it.each(['before', 'after'] as const)(
    'lives on when the former node notices the end of its link %s it came back as another one',
    async (when) => {
      const { agent, driver } = await start();
      const other = world.addAgent();
      await world.until(() => other.isRegistered);
      agent.linkDriver(driver.processId);
      const demand = { resources: { cpus: 1 }, scheduling: { nodeId: other.nodeId } };
      const spec = await world.startActor(driver, { demand });
      const { nodeId } = agent;
      const linkEnded = (): void => {
        agent.drivers.delete(driver.processId);
        const cause = { kind: 'process-died', message: 'it closed its link' };
        agent.report({ type: 'process-ended', processId: driver.processId, cause });
      };
      world.partition(agent);
      other.linkDriver(driver.processId);
      await world.until(() => world.head.cluster.nodes.get(nodeId)?.state === 'dead', 20_000);
      if (when === 'before') agent.drivers.delete(driver.processId);
      world.heal(agent);
      await world.until(() => agent.nodeId !== nodeId && agent.isRegistered);
      linkEnded();
      await world.clock.advance(5_000);
      expect(driver.stateOf(spec.actorId)).toBe('alive');

      const cause = { kind: 'process-died', message: 'killed' };
      other.report({ type: 'process-ended', processId: driver.processId, cause });
      await world.until(() => driver.stateOf(spec.actorId) === 'dead', 1_000);
    },
  );
});

describe('a head that was stalled', () => {
  it('blames no node for its own silence', async () => {
    const { agent, driver } = await start();
    const spec = await world.startActor(driver, { maxRestarts: 1 });
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
    const spec = await world.startActor(driver);
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

describe('a node that is killed', () => {
  const explain = (driver: FakeProcess, { actorId }: ActorSpec) =>
    world.run(driver.ask('actor.explain', { actorId }, Explanation));
  const stateOf = ({ nodeId }: FakeAgent) => world.head.cluster.nodes.get(nodeId)?.state;

  it('gets nothing new from the moment its connection closes, and what waits says why', async () => {
    const { agent, driver } = await start();
    await world.kill(agent);
    expect(stateOf(agent)).toBe('suspect');
    const spec = driver.spec();
    await world.run(driver.create([spec]));
    const { state, perNode } = await explain(driver, spec);
    expect(state).toBe('pending');
    expect(perNode?.[agent.nodeId]).toMatch(/suspect: its connection to the broker has closed/);
    world.addAgent();
    await world.until(() => driver.stateOf(spec.actorId) === 'alive', 1_000);
    expect(driver.newest.get(spec.actorId)?.incarnation).toBe(0);
  });

  it('is found out by the first command where the broker says nothing, and starts go elsewhere', async () => {
    const { agent, driver } = await start();
    await agent.die();
    const [spec, lease] = [driver.spec(), driver.leaseSpec({ resources: { cpus: 1 } })];
    await world.run(driver.create([spec, lease]));
    await world.until(() => stateOf(agent) === 'suspect', 1_000);
    const other = world.addAgent();
    for (const { actorId } of [spec, lease])
      await world.until(() => driver.stateOf(actorId) === 'alive', 1_000);
    expect(other.living.size).toBe(2);
    expect(stateOf(agent)).toBe('suspect');
  });

  it('is found out when it does not take a command, long before that one is given up', async () => {
    const { agent, driver } = await start({
      // It dies with the command in its hands.
      fault: ({ subject }) => {
        if (!subject.endsWith('.commands')) return { delayMs: 0 };
        void agent.die();
        return 'drop';
      },
    });
    const spec = driver.spec();
    await world.run(driver.create([spec]));
    await world.until(() => stateOf(agent) === 'suspect', 300);
    // Nobody can tell whether it has begun to start: only the node's death says that it has not.
    expect(driver.stateOf(spec.actorId)).toBeUndefined();
    const { perNode, reason } = await explain(driver, spec);
    expect([perNode, reason]).toEqual([
      undefined,
      expect.stringMatching(/suspect: it does not listen/),
    ]);
    await world.until(() => stateOf(agent) === 'dead', 5_000);
  });

  it('takes no restart and no life from what was starting there', async () => {
    const { agent, driver } = await start({}, { startMs: () => 100_000 });
    const [spec, lease] = [driver.spec(), driver.leaseSpec({ resources: { cpus: 1 } })];
    await world.run(driver.create([spec, lease]));
    await world.until(() => agent.living.size === 2);
    await world.kill(agent);
    await world.until(() => stateOf(agent) === 'dead', 5_000);
    expect(await explain(driver, spec)).toMatchObject({
      state: 'pending',
      reason: expect.stringMatching(/died: no sign of life.* It waits for a node/),
    });
    world.addAgent();
    for (const { actorId } of [spec, lease]) {
      await world.until(() => driver.stateOf(actorId) === 'alive', 1_000);
      expect(world.head.cluster.actors.get(actorId)?.record.restarts).toBe(0);
    }
    // What was placed anew is known to a head that was started meanwhile.
    world.killHead();
    await world.restartHead();
    driver.createsAgain = true;
    driver.leases.set(lease.actorId, lease);
    await world.run(driver.holdAgain());
    await world.clock.advance(10_000);
    for (const { actorId } of [spec, lease]) expect(driver.stateOf(actorId)).toBe('alive');
    expect(world.lives(lease.actorId)).toHaveLength(1);
  });

  it('is not taken for dead when only its connection broke', async () => {
    const { agent, driver } = await start();
    const spec = await world.startActor(driver);
    world.head.nodeDisconnected(agent.nodeId);
    expect(stateOf(agent)).toBe('suspect');
    await world.until(() => stateOf(agent) === 'alive', 1_000);
    expect((await world.startActor(driver)).actorId).not.toBe(spec.actorId);
    expect(driver.newest.get(spec.actorId)).toMatchObject({ state: 'alive', incarnation: 0 });
  });
});
