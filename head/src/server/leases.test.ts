import { afterEach, describe, expect, it } from 'vitest';
import { Acknowledgement, type ActorSpec } from '@manta/runtime/wire/messages';
import * as v from 'valibot';
import type { FakeAgent, FakeAgentOptions } from '../sim/fake-agent.ts';
import type { FakeProcess } from '../sim/fake-process.ts';
import { checkTables } from '../sim/checkers.ts';
import { SimWorld, type SimWorldOptions } from '../sim/sim-world.ts';

const ONE_CPU = { resources: { cpus: 1 } };
const anything = v.record(v.string(), v.any());
let world: SimWorld;

async function start(
  options: SimWorldOptions = {},
  agentOptions: Partial<FakeAgentOptions> = {},
): Promise<{ agent: FakeAgent; driver: FakeProcess }> {
  const started = await SimWorld.withNode(options, agentOptions);
  ({ world } = started);
  return started;
}

async function lease(driver: FakeProcess, demand = ONE_CPU): Promise<ActorSpec> {
  const spec = driver.leaseSpec(demand);
  expect(await world.run(driver.create([spec]))).toEqual([{}]);
  await world.until(() => driver.stateOf(spec.actorId) === 'alive');
  return spec;
}

function freeCpus(agent: FakeAgent): number {
  return (world.head.cluster.nodes.get(agent.nodeId)?.resources.free.cpus ?? 0) / 10_000;
}

afterEach(async () => {
  checkTables(world.head.cluster);
  await world.close();
});

describe('a lease', () => {
  it('is given back at once and leaves its process to the next one', async () => {
    const { agent, driver } = await start();
    const spec = await lease(driver);
    const host = driver.newest.get(spec.actorId)?.address?.processId;
    expect(freeCpus(agent)).toBe(3);
    await world.run(driver.giveBack(spec.actorId));
    await world.until(() => freeCpus(agent) === 4);
    expect(world.head.cluster.actors.size).toBe(0);
    expect(world.head.cluster.processes.hasEnded(host as never)).toBe(false);
    await expect(world.run(driver.giveBack(spec.actorId))).rejects.toThrow('ActorNotFoundError');
    const next = await lease(driver);
    expect(driver.newest.get(next.actorId)?.address?.processId).toBe(host);
  });

  it('is withdrawn while it waits', async () => {
    const { driver } = await start();
    const spec = driver.leaseSpec({ resources: { cpus: 99 } });
    await world.run(driver.create([spec]));
    await world.run(driver.giveBack(spec.actorId));
    expect(world.head.cluster.actors.size).toBe(0);
    expect(world.head.cluster.actors.queues.size).toBe(0);
  });

  it('is in no list of actors, and its end is told to its holder', async () => {
    const { agent, driver } = await start();
    const spec = await lease(driver);
    const { actors } = await world.run(driver.ask('state.actors', {}, anything));
    expect(actors).toEqual([]);
    const { workers } = await world.run(driver.ask('state.tasks', {}, anything));
    expect(workers).toMatchObject([{ actorId: spec.actorId, state: 'alive', isBlocked: false }]);
    agent.end(spec.actorId, { kind: 'process-died', message: 'exit code 1' });
    await world.until(() => driver.stateOf(spec.actorId) === 'dead');
    await world.until(() => world.head.cluster.actors.size === 0);
  });

  it('ends with the process that asked for it', async () => {
    const { agent, driver } = await start();
    const spec = await lease(driver);
    const waiting = driver.leaseSpec({ resources: { cpus: 99 } });
    await world.run(driver.create([waiting]));
    const cause = { kind: 'process-died', message: 'gone' };
    agent.report({ type: 'process-ended', processId: driver.processId, cause });
    await world.until(() => !agent.living.has(spec.actorId));
    await world.until(() => world.head.cluster.actors.size === 0);
    expect(freeCpus(agent)).toBe(4);
  });

  it('costs no write', async () => {
    const { driver } = await start();
    const { commits } = world.head.counters;
    const spec = await lease(driver);
    await world.run(driver.giveBack(spec.actorId));
    await world.until(() => world.head.cluster.actors.size === 0);
    expect(world.head.counters.commits).toBe(commits);
  });

  it.each([
    { maxRestarts: 1 },
    { lifetime: 'detached' },
    { isolation: 'shared' },
    { name: 'worker' },
  ] as const)('is refused with %j', async (changes) => {
    const { driver } = await start();
    const [result] = await world.run(driver.create([driver.leaseSpec(ONE_CPU, changes)]));
    expect(result?.error?.name).toBe('InvalidArgumentError');
  });

  it('has its idle process ended with the job', async () => {
    const { agent, driver } = await start();
    const { jobId, processId } = driver;
    const job = { jobId, processId, pid: 1, hostname: 'h', entrypoint: 'e', namespace: 'n' };
    await world.run(driver.tell('job.start', job));
    const spec = await lease(driver);
    await world.run(driver.giveBack(spec.actorId));
    await world.until(() => agent.idleHosts.size === 1);
    await world.run(driver.ask('job.end', { jobId, processId }, Acknowledgement));
    await world.until(() => agent.idleHosts.size === 0);
    expect(agent.commands.at(-1)).toEqual({ type: 'end-job', jobId });
  });
});

describe('a task worker that waits', () => {
  it('lends its CPUs, so that what it waits for can run, and takes them again', async () => {
    const { agent, driver } = await start();
    const parents = [];
    for (let index = 0; index < 4; index++) parents.push(await lease(driver));
    const child = driver.leaseSpec(ONE_CPU);
    await world.run(driver.create([child]));
    await world.clock.advance(50);
    expect(driver.stateOf(child.actorId)).not.toBe('alive');
    const [parent] = parents;
    agent.setBlocked(parent?.actorId as never, true);
    await world.until(() => driver.stateOf(child.actorId) === 'alive');
    expect(freeCpus(agent)).toBe(0);
    agent.setBlocked(parent?.actorId as never, false);
    await world.until(() => freeCpus(agent) === -1);
    const free = await world.run(driver.ask('state.resources', {}, anything));
    expect(free).toMatchObject({ available: { cpus: 0 } });
    const nothing = await lease(driver, { resources: { cpus: 0 } });
    await world.run(driver.giveBack(nothing.actorId));
    await world.run(driver.giveBack(child.actorId));
    await world.until(() => freeCpus(agent) === 0);
    agent.setBlocked(parent?.actorId as never, true);
    await world.until(() => freeCpus(agent) === 1);
    agent.end(parent?.actorId as never, { kind: 'process-died', message: 'while it waited' });
    await world.clock.advance(100);
    expect(freeCpus(agent)).toBe(1);
  });
});

describe('a head that is started again', () => {
  it('learns its leases from their nodes, and their tasks go on', async () => {
    const { agent, driver } = await start();
    const running = await lease(driver);
    const blocked = await lease(driver);
    agent.setBlocked(blocked.actorId, true);
    const returned = await lease(driver);
    await world.run(driver.giveBack(returned.actorId));
    await world.until(() => agent.idleHosts.size === 1 && freeCpus(agent) === 3);
    const [idleHost] = agent.idleHosts.keys();
    world.killHead();
    await world.clock.advance(300);
    await world.restartHead();
    await world.until(() => agent.isRegistered && agent.epoch === '2' && freeCpus(agent) === 3);
    expect([...(world.head.cluster.processes.get(idleHost as never)?.watchers ?? [])]).toEqual([
      agent.nodeId,
    ]);
    await world.clock.advance(40_000);
    expect([...agent.living.keys()].sort()).toEqual([running.actorId, blocked.actorId].sort());
    agent.setBlocked(blocked.actorId, false);
    await world.until(() => freeCpus(agent) === 2);
  });

  it('takes requests again, and starts no lease twice', async () => {
    const { agent, driver } = await start();
    const other = world.addAgent();
    await world.until(() => other.isRegistered);
    const alive = await lease(driver);
    const owner = agent.living.has(alive.actorId) ? agent : other;
    const waiting = driver.leaseSpec({ resources: { cpus: 4 }, scheduling: 'spread' });
    world.killHead();
    world.partition(owner);
    await world.restartHead();
    await world.run(driver.create([alive, waiting]));
    await world.clock.advance(500);
    expect(world.lives(alive.actorId)).toEqual([owner]);
    expect(world.lives(waiting.actorId)).toEqual([]);
    world.heal(owner);
    await world.until(() => driver.stateOf(waiting.actorId) === 'alive');
    await world.until(() => freeCpus(owner) === 3);
    expect(world.lives(alive.actorId)).toEqual([owner]);
  });

  it('hears of a lease that has ended meanwhile when it is asked for again', async () => {
    const { agent, driver } = await start();
    const spec = await lease(driver);
    world.killHead();
    agent.end(spec.actorId, { kind: 'process-died', message: 'exit code 1' });
    await world.restartHead();
    await world.run(driver.create([spec]));
    await world.until(() => driver.stateOf(spec.actorId) === 'dead');
    await world.until(() => freeCpus(agent) === 4);
    expect(world.lives(spec.actorId)).toEqual([]);
  });

  it('ends leases that were given back before it heard of them, and their processes stay', async () => {
    const { agent, driver } = await start();
    const given = await lease(driver);
    const withdrawn = await lease(driver);
    const killed = await lease(driver);
    world.killHead();
    world.partition(agent);
    await world.restartHead();
    const unknown = 'ActorNotFoundError';
    await expect(world.run(driver.giveBack(given.actorId))).rejects.toThrow(unknown);
    await world.run(driver.create([withdrawn]));
    await world.run(driver.giveBack(withdrawn.actorId));
    const kill = { actorId: killed.actorId };
    await expect(world.run(driver.tell('actor.kill', kill))).rejects.toThrow(unknown);
    world.heal(agent);
    await world.until(() => freeCpus(agent) === 4 && agent.living.size === 0);
    expect(agent.idleHosts.size).toBe(2);
    expect(world.head.cluster.actors.leases().size).toBe(1);
  });

  it('ends leases that nobody holds any more', async () => {
    const { agent, driver } = await start({ settings: { recoveryMs: 5_000 } });
    const spec = await lease(driver);
    driver.held.delete(spec.actorId);
    world.killHead();
    await world.restartHead();
    await world.until(() => agent.epoch === '2');
    expect(agent.living.has(spec.actorId)).toBe(true);
    await world.until(() => !agent.living.has(spec.actorId));
  });
});

describe('a lease with a device that was given back', () => {
  const oneGpu = { resources: { gpus: 1, cpus: 1 } };
  const gpus = [{ index: 0, uuid: 'GPU-0', model: 'T4', memoryBytes: 2 ** 30 }];

  it('keeps its process and its device when its node is heard again, by this head and the next', async () => {
    const { agent, driver } = await start({}, { capacity: { gpus }, retires: true });
    const spec = await lease(driver, oneGpu);
    world.partition(agent);
    await world.run(driver.giveBack(spec.actorId));
    world.heal(agent);
    await world.until(() => agent.living.get(spec.actorId)?.isRetiring === true);
    world.killHead();
    await world.restartHead();
    await world.until(() => agent.epoch === '2' && freeCpus(agent) === 4);
    await world.clock.advance(60_000);
    expect(agent.living.has(spec.actorId)).toBe(true);
    expect(world.head.cluster.actors.get(spec.actorId)?.record.deathCause?.kind).toBe('returned');
    const next = driver.leaseSpec(oneGpu);
    await world.run(driver.create([next]));
    await world.clock.advance(1_000);
    expect(driver.stateOf(next.actorId)).not.toBe('alive');
    agent.end(spec.actorId, { kind: 'returned', message: 'its process has gone' });
    await world.until(() => driver.stateOf(next.actorId) === 'alive');
  });
});
