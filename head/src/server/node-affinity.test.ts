import { afterEach, describe, expect, it } from 'vitest';
import type { ActorSpec } from '@manta/runtime/wire/messages';
import { checkTables } from '../sim/checkers.ts';
import type { FakeAgent } from '../sim/fake-agent.ts';
import type { FakeProcess } from '../sim/fake-process.ts';
import { SimWorld } from '../sim/sim-world.ts';

let world: SimWorld;

async function start(): Promise<{ agent: FakeAgent; driver: FakeProcess }> {
  const started = await SimWorld.withNode();
  ({ world } = started);
  return started;
}

afterEach(async () => {
  checkTables(world.head.cluster);
  await world.close();
});

const only = (nodeId: string, soft = false): ActorSpec['demand'] => ({
  resources: { cpus: 1 },
  scheduling: { nodeId, soft },
});

/** It is the only thing that is asked for: an actor, or the lease of a task. */
async function request(driver: FakeProcess, kind: 'actor' | 'lease', demand: ActorSpec['demand']) {
  const spec = kind === 'actor' ? driver.spec({ demand }) : driver.leaseSpec(demand);
  if (kind === 'lease') driver.leases.set(spec.actorId, spec);
  await world.run(driver.create([spec]));
  return spec;
}

describe.each(['actor', 'lease'] as const)('an %s that wants one node only', (kind) => {
  it('fails, and says that no such node is in the cluster, when there never was one', async () => {
    const { driver } = await start();
    const nodeId = world.mint('node');
    const { actorId } = await request(driver, kind, only(nodeId));
    await world.until(() => driver.stateOf(actorId) === 'dead', 10_000);
    expect(driver.newest.get(actorId)).toMatchObject({
      errorName: 'InfeasibleError',
      deathCause: { kind: 'unschedulable', message: expect.stringContaining('not in the cluster') },
      perNode: { [nodeId]: 'is not in the cluster' },
    });
  });

  it('starts there when the node is just joining', async () => {
    const { driver } = await start();
    const joining = world.addAgent();
    world.partition(joining);
    const { actorId } = await request(driver, kind, only(joining.nodeId));
    await world.clock.advance(2_000);
    expect(driver.stateOf(actorId)).not.toBe('dead');
    world.heal(joining);
    await world.until(() => driver.stateOf(actorId) === 'alive');
    expect(world.lives(actorId)).toEqual([joining]);
  });

  it('fails at once when the node is dead', async () => {
    const { driver } = await start();
    const mortal = world.addAgent();
    await world.until(() => mortal.isRegistered);
    await world.kill(mortal);
    await world.until(() => world.head.cluster.nodes.get(mortal.nodeId)?.state === 'dead');
    const { actorId } = await request(driver, kind, only(mortal.nodeId));
    await world.until(() => driver.stateOf(actorId) === 'dead', 1_000);
    expect(driver.newest.get(actorId)?.perNode).toMatchObject({ [mortal.nodeId]: 'is dead' });
  });

  it('goes elsewhere when another will do', async () => {
    const { agent, driver } = await start();
    const { actorId } = await request(driver, kind, only(world.mint('node'), true));
    await world.until(() => driver.stateOf(actorId) === 'alive');
    expect(world.lives(actorId)).toEqual([agent]);
  });
});

it('a head that has lost its nodes gives them time to report, however long what wants them has waited', async () => {
  const { agent, driver } = await start();
  const demand = { ...only(agent.nodeId), resources: { cpus: 1_000 } };
  const { actorId } = await request(driver, 'actor', demand);
  await world.clock.advance(30_000);
  world.killHead();
  world.partition(agent);
  world.store.delete('nodes', agent.nodeId);
  await world.restartHead();
  await world.clock.advance(3_000);
  world.heal(agent);
  await world.until(() => world.head.cluster.nodes.get(agent.nodeId)?.isRegistered === true);
  await world.clock.advance(30_000);
  expect(world.head.cluster.actors.get(actorId)?.record.state).toBe('pending');
});
