import { afterEach, describe, expect, it } from 'vitest';
import type { ActorSpec } from '@manta/runtime/wire/messages';
import { StateResourcesReply } from '@manta/runtime/wire/state-messages';
import type { FakeAgent } from '../sim/fake-agent.ts';
import type { FakeProcess } from '../sim/fake-process.ts';
import { checkTables } from '../sim/checkers.ts';
import { SimWorld } from '../sim/sim-world.ts';

const ONE_CPU = { resources: { cpus: 1 } };
let world: SimWorld;
let agent: FakeAgent;

async function start(): Promise<[FakeProcess, FakeProcess]> {
  const started = await SimWorld.withNode();
  ({ world, agent } = started);
  return [started.driver, world.addDriver(agent)];
}

async function request(driver: FakeProcess, demand: ActorSpec['demand']): Promise<ActorSpec> {
  const spec = driver.leaseSpec(demand);
  driver.leases.set(spec.actorId, spec);
  await world.run(driver.create([spec]));
  return spec;
}

/** Gives back what others want, and asks for as much again, as a submitter with endless work does. */
async function obeyRecalls(driver: FakeProcess, demand: ActorSpec['demand']): Promise<void> {
  for (const actorId of [...driver.leases.keys()]) {
    if (driver.newest.get(actorId)?.wanted !== true) continue;
    await world.run(driver.giveBack(actorId));
    await request(driver, demand);
  }
}

function alive(driver: FakeProcess): number {
  return [...driver.leases.keys()].filter((id) => driver.stateOf(id) === 'alive').length;
}

afterEach(async () => {
  checkTables(world.head.cluster);
  await world.close();
});

describe('the order of those who wait', () => {
  it('is that of their arrival, whatever they want', async () => {
    const [driver] = await start();
    const first = await request(driver, { resources: { cpus: 4 } });
    const second = await request(driver, { resources: { cpus: 3 } });
    const third = await request(driver, { resources: { cpus: 2 } });
    const fourth = await request(driver, { resources: { cpus: 3 } });
    await world.until(() => driver.stateOf(first.actorId) === 'alive');
    await world.run(driver.giveBack(first.actorId));
    await world.until(() => driver.stateOf(second.actorId) === 'alive');
    expect(driver.stateOf(third.actorId)).toBeUndefined();
    await world.run(driver.giveBack(second.actorId));
    await world.until(() => driver.stateOf(third.actorId) === 'alive');
    expect(driver.stateOf(fourth.actorId)).toBeUndefined();
  });

  it('lets what fits go first, but not for ever', async () => {
    const [driver, other] = await start();
    for (let count = 0; count < 4; count++) await request(driver, ONE_CPU);
    await world.until(() => alive(driver) === 4);
    const large = await request(other, { resources: { cpus: 4 } });
    // One after the other comes and goes, so that never four CPUs are free at once.
    for (let round = 0; round < 60 && other.stateOf(large.actorId) !== 'alive'; round++) {
      const [oldest] = [...driver.leases.keys()].filter((id) => driver.stateOf(id) === 'alive');
      if (oldest !== undefined) await world.run(driver.giveBack(oldest));
      await request(driver, ONE_CPU);
      await world.clock.advance(500);
    }
    expect(other.stateOf(large.actorId)).toBe('alive');
  });

  it('holds nothing back for what a waiting task needs', async () => {
    const [driver, other] = await start();
    const parents = [];
    for (let count = 0; count < 4; count++) parents.push(await request(driver, ONE_CPU));
    await world.until(() => alive(driver) === 4);
    const large = await request(other, { resources: { cpus: 4 } });
    await world.clock.advance(15_000);
    const [parent] = parents;
    const ownerId = driver.newest.get(parent?.actorId as never)?.address?.processId;
    const child = driver.leaseSpec(ONE_CPU, { ownerId: ownerId as never });
    await world.run(driver.create([child]));
    agent.setBlocked(parent?.actorId as never, true);
    await world.until(() => agent.living.has(child.actorId));
    expect(other.stateOf(large.actorId)).toBeUndefined();
  });
});

describe('holders of leases', () => {
  it('are asked to share with a newcomer, until both have as much', async () => {
    const [driver, other] = await start();
    for (let count = 0; count < 6; count++) await request(driver, ONE_CPU);
    await world.until(() => alive(driver) === 4);
    await world.clock.advance(2_000);
    expect(driver.history.some(({ wanted }) => wanted)).toBe(false);
    for (let count = 0; count < 6; count++) await request(other, ONE_CPU);
    for (let round = 0; round < 100; round++) {
      await obeyRecalls(driver, ONE_CPU);
      await obeyRecalls(other, ONE_CPU);
      await world.clock.advance(50);
    }
    expect([alive(driver), alive(other)]).toEqual([2, 2]);
  });

  it('are asked for what an actor waits for, and on a node that is drained', async () => {
    const [driver, other] = await start();
    for (let count = 0; count < 4; count++) await request(driver, ONE_CPU);
    await world.until(() => alive(driver) === 4);
    const actor = other.spec({ demand: { resources: { cpus: 2 } } });
    await world.run(other.create([actor]));
    await world.until(() => driver.history.some(({ wanted }) => wanted === true));
    const recalled = [...driver.newest.values()].filter(({ wanted }) => wanted === true);
    expect(recalled).toHaveLength(1);
    await world.run(driver.tell('node.drain', { nodeId: agent.nodeId }));
    await world.until(() => [...driver.newest.values()].every(({ wanted }) => wanted === true));
  });

  it('and those who wait are listed, with the reason', async () => {
    const [driver] = await start();
    for (let count = 0; count < 7; count++) await request(driver, ONE_CPU);
    const impossible = await request(driver, { resources: { gpus: 1 } });
    const { waiting } = await world.run(driver.ask('state.resources', {}, StateResourcesReply));
    expect(waiting).toMatchObject([
      { demand: ONE_CPU, actors: 0, leases: 3, outcome: 'wait' },
      { leases: 1, outcome: 'infeasible' },
    ]);
    expect(waiting?.[0]?.perNode[agent.nodeId]).toBe('needs 1 CPU, 0 of 4 free');
    expect(world.head.cluster.actors.get(impossible.actorId)?.record.state).toBe('pending');
  });
});
