import { JobStartReply } from '@manta/runtime/wire/job-messages';
import type { DeathCause } from '@manta/runtime/errors/death-cause';
import { encodeControl } from '@manta/runtime/serialization/control-codec';
import { Explanation, ActorLookupReply } from '@manta/runtime/wire/actor-messages';
import { Acknowledgement, type ActorSpec } from '@manta/runtime/wire/messages';
import {
  StateActorsReply,
  StateJobsReply,
  StateNodesReply,
  StateResourcesReply,
} from '@manta/runtime/wire/state-messages';
import { subjectsOf } from '@manta/runtime/wire/subjects';
import { afterEach, describe, expect, it } from 'vitest';
import type { FakeAgent, FakeAgentOptions } from '../sim/fake-agent.ts';
import type { FakeProcess } from '../sim/fake-process.ts';
import { SimWorld, type SimWorldOptions } from '../sim/sim-world.ts';

const CRASH: DeathCause = { kind: 'process-died', message: 'exit code 1', exitCode: 1 };
let world: SimWorld;

async function start(
  agentCount = 1,
  agentOptions: Partial<FakeAgentOptions> = {},
  options: SimWorldOptions = {},
): Promise<{ agents: FakeAgent[]; driver: FakeProcess }> {
  world = await SimWorld.start(options);
  const agents = Array.from({ length: agentCount }, () => world.addAgent(agentOptions));
  await world.until(() => agents.every((agent) => agent.isRegistered));
  const driver = world.addProcess();
  return { agents, driver };
}

afterEach(() => world.close());

describe('creation', () => {
  it('starts an actor on a node and tells its creator', async () => {
    const { agents, driver } = await start();
    const spec = await world.startActor(driver);
    const update = driver.newest.get(spec.actorId);
    expect(agents[0]?.living.get(spec.actorId)?.address).toEqual(update?.address);
  });

  it('is idempotent', async () => {
    const { agents, driver } = await start();
    const spec = await world.startActor(driver);
    expect(await world.run(driver.create([spec]))).toEqual([{}]);
    await world.clock.advance(100);
    expect(agents[0]?.commands).toHaveLength(1);
  });

  it('lets exactly one of two creators have a name; getIfExists gets the other', async () => {
    const { driver } = await start();
    const other = world.addProcess();
    const named = { name: 'counter', namespace: 'app' };
    const specs = [
      driver.spec(named),
      other.spec(named),
      other.spec({ ...named, getIfExists: true }),
    ];
    const [first, second, third] = await world.run(
      Promise.all(
        [driver, other, other].map((process, index) => process.create([specs[index] as ActorSpec])),
      ),
    );
    expect(first).toEqual([{}]);
    expect(second?.[0]?.error?.name).toBe('NameTakenError');
    expect(third?.[0]?.existing?.actorId).toBe(specs[0]?.actorId);
    // Who got it by name hears of it too.
    await world.until(() => other.stateOf(specs[0]?.actorId as ActorSpec['actorId']) === 'alive');
  });

  it('frees the name when the actor is dead', async () => {
    const { driver } = await start();
    const spec = await world.startActor(driver, { name: 'counter' });
    await world.run(driver.ask('actor.kill', { actorId: spec.actorId }, Acknowledgement));
    const lookup = { processId: driver.processId, namespace: 'default', name: 'counter' };
    expect(await world.run(driver.ask('actor.lookup', lookup, ActorLookupReply))).toEqual({});
    await world.startActor(driver, { name: 'counter' });
  });

  it('answers a demand that makes no sense per spec', async () => {
    const { driver } = await start();
    const results = await world.run(
      driver.create([driver.spec({ demand: { resources: { gpus: 1.5 } } }), driver.spec()]),
    );
    expect(results[0]?.error?.name).toBe('InvalidArgumentError');
    expect(results[1]).toEqual({});
  });
});

describe('restarts', () => {
  it('never starts again what failed in its constructor', async () => {
    const failure: DeathCause = { kind: 'constructor-failed', message: 'Error: no' };
    const { agents, driver } = await start(1, { construct: () => failure });
    const spec = driver.spec({ maxRestarts: -1 });
    await world.run(driver.create([spec]));
    await world.until(() => driver.stateOf(spec.actorId) === 'dead');
    const update = driver.newest.get(spec.actorId);
    expect(update?.deathCause?.kind).toBe('constructor-failed');
    expect([...(update?.encodedError ?? [])]).toEqual([1]);
    await world.clock.advance(2_000);
    expect(agents[0]?.commands).toHaveLength(1);
  });

  it('starts again as often as maxRestarts says, each time as a new incarnation', async () => {
    const { agents, driver } = await start();
    const [agent] = agents;
    const spec = await world.startActor(driver, { maxRestarts: 2 });
    for (const incarnation of [1, 2]) {
      agent?.end(spec.actorId, CRASH);
      await world.until(() => driver.newest.get(spec.actorId)?.incarnation === incarnation);
      await world.until(() => driver.stateOf(spec.actorId) === 'alive');
    }
    agent?.end(spec.actorId, CRASH);
    await world.until(() => driver.stateOf(spec.actorId) === 'dead');
    const states = driver.history
      .filter(({ actorId }) => actorId === spec.actorId)
      .map(({ state }) => state);
    expect(states).toEqual(['alive', 'restarting', 'alive', 'restarting', 'alive', 'dead']);
  });

  it('starts what ran on a dead node elsewhere, within the detection time', async () => {
    const { agents, driver } = await start(2);
    const spec = await world.startActor(driver, { maxRestarts: 1 });
    const [host] = world.lives(spec.actorId);
    await host?.die();
    const killedAt = world.clock.now();
    await world.until(
      () =>
        driver.newest.get(spec.actorId)?.incarnation === 1 &&
        driver.stateOf(spec.actorId) === 'alive',
    );
    expect(world.clock.now() - killedAt).toBeLessThanOrEqual(5_000);
    expect(world.lives(spec.actorId)).toEqual(agents.filter((agent) => agent !== host));
  });

  it('names the node when nothing may be started again', async () => {
    const { agents, driver } = await start();
    const spec = await world.startActor(driver);
    const nodeId = agents[0]?.nodeId;
    await agents[0]?.die();
    await world.until(() => driver.stateOf(spec.actorId) === 'dead');
    expect(driver.newest.get(spec.actorId)?.deathCause).toMatchObject({
      kind: 'node-died',
      nodeId,
    });
  });
});

describe('ends', () => {
  it('kill is for good, kill with restart counts against maxRestarts', async () => {
    const { driver } = await start();
    const spec = await world.startActor(driver, { maxRestarts: 1 });
    const kill = (restart: boolean) =>
      world.run(driver.ask('actor.kill', { actorId: spec.actorId, restart }, Acknowledgement));
    await kill(true);
    await world.until(
      () =>
        driver.newest.get(spec.actorId)?.incarnation === 1 &&
        driver.stateOf(spec.actorId) === 'alive',
    );
    await kill(true);
    await world.until(() => driver.stateOf(spec.actorId) === 'dead');
    const again = await world.startActor(driver, { maxRestarts: -1 });
    await world.run(driver.ask('actor.kill', { actorId: again.actorId }, Acknowledgement));
    await world.until(() => driver.stateOf(again.actorId) === 'dead');
    await world.clock.advance(1_000);
    expect(world.lives(again.actorId)).toEqual([]);
  });

  it('gives a GPU to the next only when the node confirmed the end of the last', async () => {
    const gpus = [{ index: 0, uuid: 'G', model: 'T4', memoryBytes: 1_000 }];
    const { agents, driver } = await start(1, { capacity: { gpus } });
    const demand = { resources: { gpus: 1 } };
    const first = await world.startActor(driver, { demand });
    const second = driver.spec({ demand });
    await world.run(driver.create([second]));
    const [agent] = agents;
    if (agent === undefined) throw new Error('one agent');
    world.partition(agent);
    await world.run(driver.ask('actor.kill', { actorId: first.actorId }, Acknowledgement));
    await world.until(() => driver.stateOf(first.actorId) === 'dead');
    await world.clock.advance(1_000);
    expect(driver.stateOf(second.actorId) ?? 'pending').toBe('pending');
    world.heal(agent);
    await world.until(() => driver.stateOf(second.actorId) === 'alive');
    expect(agent.living.get(second.actorId)?.gpuIndexes).toEqual([0]);
    expect(agent.living.has(first.actorId)).toBe(false);
  });

  it('ends what a driver owned when the driver is gone, and what those owned, but nothing detached', async () => {
    const { agents, driver } = await start();
    const [agent] = agents;
    agent?.linkDriver(driver.processId);
    const watcher = world.addProcess();
    const parent = await world.startActor(driver, { maxRestarts: -1 });
    const parentProcess = driver.newest.get(parent.actorId)?.address?.processId;
    if (parentProcess === undefined) throw new Error('an address');
    const child = watcher.spec({ ownerId: parentProcess, jobId: driver.jobId });
    await world.run(watcher.create([child]));
    const detached = await world.startActor(driver, { lifetime: 'detached' });
    await world.until(() => world.lives(child.actorId).length === 1);
    agent?.report({ type: 'process-ended', processId: driver.processId, cause: CRASH });
    await world.until(
      () => world.lives(parent.actorId).length + world.lives(child.actorId).length === 0,
    );
    await world.clock.advance(3_000);
    expect(world.lives(detached.actorId)).toHaveLength(1);
    const reply = await world.run(
      watcher.ask('actor.explain', { actorId: parent.actorId }, Explanation),
    );
    expect(reply).toMatchObject({
      state: 'dead',
      reason: expect.stringContaining('created it is gone'),
    });
  });

  it('ends what a process owned that no node watches, but not while a constructor may be running in it', async () => {
    const { agents, driver } = await start(1, { startMs: () => 100_000 });
    const stranger = world.addProcess();
    agents[0]?.linkDriver(driver.processId);
    const slow = driver.spec();
    const orphan = stranger.spec({ isolation: 'shared' });
    await world.run(driver.create([slow]));
    await world.run(stranger.create([orphan]));
    await world.clock.advance(70_000, 10);
    expect(world.lives(orphan.actorId)).toHaveLength(1);
    await world.until(() => driver.stateOf(slow.actorId) === 'alive');
    await world.until(() => stranger.stateOf(orphan.actorId) === 'dead');
    expect(stranger.newest.get(orphan.actorId)?.deathCause?.kind).toBe('owner-died');
    expect(driver.stateOf(slow.actorId)).toBe('alive');
  });

  it('tells jobs that said goodbye from those that did not', async () => {
    const { agents, driver } = await start();
    const other = world.addProcess();
    for (const process of [driver, other]) {
      const job = {
        jobId: process.jobId,
        processId: process.processId,
        pid: 1,
        hostname: 'host',
        entrypoint: 'x.js',
        namespace: 'n',
      };
      const reply = await world.run(process.ask('job.start', job, JobStartReply));
      expect(reply.home?.nodeId).toBe(agents[0]?.nodeId);
      agents[0]?.linkDriver(process.processId);
    }
    const { jobId, processId } = driver;
    await world.run(driver.ask('job.end', { jobId, processId }, Acknowledgement));
    agents[0]?.report({ type: 'process-ended', processId: other.processId, cause: CRASH });
    await world.clock.advance(100);
    const { jobs } = await world.run(driver.ask('state.jobs', {}, StateJobsReply));
    expect(jobs.map(({ state }) => state)).toEqual(['succeeded', 'failed']);
  });
});

describe('waiting', () => {
  it('explains per node, and goes on when a node comes', async () => {
    const { agents, driver } = await start();
    const spec = driver.spec({ demand: { resources: { gpus: 1 } } });
    await world.run(driver.create([spec]));
    const explanation = await world.run(
      driver.ask('actor.explain', { actorId: spec.actorId }, Explanation),
    );
    expect(explanation).toMatchObject({
      state: 'pending',
      reason: expect.stringContaining('No node could hold it'),
      perNode: { [agents[0]?.nodeId ?? '']: 'has no GPU' },
    });
    world.addAgent({ capacity: { gpus: [{ index: 0, uuid: 'G', model: 'T4', memoryBytes: 1 }] } });
    await world.until(() => driver.stateOf(spec.actorId) === 'alive');
  });

  it('fails after schedulingTimeoutMs, telling infeasible from too busy', async () => {
    const { driver } = await start();
    await world.startActor(driver, { demand: { resources: { cpus: 3 } } });
    const timeout = { schedulingTimeoutMs: 500 };
    const busy = driver.spec({ ...timeout, demand: { resources: { cpus: 2 } } });
    const infeasible = driver.spec({ ...timeout, demand: { resources: { cpus: 5 } } });
    await world.run(driver.create([busy, infeasible]));
    await world.until(() =>
      [busy, infeasible].every(({ actorId }) => driver.stateOf(actorId) === 'dead'),
    );
    expect(driver.newest.get(busy.actorId)).toMatchObject({
      errorName: 'SchedulingTimeoutError',
      deathCause: { kind: 'unschedulable' },
    });
    expect(driver.newest.get(infeasible.actorId)?.errorName).toBe('InfeasibleError');
    expect(Object.values(driver.newest.get(infeasible.actorId)?.perNode ?? {})).toEqual([
      'needs 5 CPUs, has 4 in all',
    ]);
  });
});

describe('state', () => {
  it('lists nodes with what is free, and actors page by page', async () => {
    const { driver } = await start(2);
    const specs = Array.from({ length: 5 }, () =>
      driver.spec({ demand: { resources: { cpus: 1 } } }),
    );
    await world.run(driver.create(specs));
    await world.until(() => specs.every(({ actorId }) => driver.stateOf(actorId) === 'alive'));
    const { nodes } = await world.run(driver.ask('state.nodes', {}, StateNodesReply));
    const free = nodes.map(({ available }) => available['cpus'] ?? 0);
    expect(free.reduce((sum, cpus) => sum + cpus, 0)).toBe(3);
    const sums = await world.run(driver.ask('state.resources', {}, StateResourcesReply));
    expect(sums).toMatchObject({ total: { cpus: 8 }, available: { cpus: 3 } });
    const pages: string[][] = [];
    let after: string | undefined;
    do {
      const page = await world.run(
        driver.ask('state.actors', { limit: 2, after }, StateActorsReply),
      );
      pages.push(page.actors.map(({ actorId }) => actorId));
      after = page.next;
    } while (after !== undefined);
    expect(pages.map(({ length }) => length)).toEqual([2, 2, 1]);
    expect(pages.flat()).toEqual(specs.map(({ actorId }) => actorId).sort());
  });

  it('moves what can move when a node is drained', async () => {
    const { driver } = await start(2);
    const spec = await world.startActor(driver, {
      maxRestarts: 1,
      demand: { resources: { cpus: 1 } },
    });
    const [from] = world.lives(spec.actorId);
    const drain = { nodeId: from?.nodeId, deadlineMs: 500, reason: 'maintenance' };
    await world.run(driver.ask('node.drain', drain, Acknowledgement));
    await world.until(
      () =>
        driver.newest.get(spec.actorId)?.incarnation === 1 &&
        driver.stateOf(spec.actorId) === 'alive',
    );
    expect(world.lives(spec.actorId)).not.toContain(from);
    const { actors } = await world.run(driver.ask('state.actors', {}, StateActorsReply));
    expect(actors[0]?.restarts).toBe(0);
  });
});

describe('bad input', () => {
  it('is refused, counted and answered, and nobody else notices', async () => {
    const { driver } = await start();
    const client = world.bus.connect({ name: 'stranger' });
    const subjects = subjectsOf(world.clusterId);
    const garbage = [
      Uint8Array.of(),
      Uint8Array.of(1, 0xc1),
      Uint8Array.of(9, 0x80),
      encodeControl({ specs: 7 }),
    ];
    for (const payload of garbage) {
      const reply = await world.run(
        client.request(subjects.head('actor.create'), payload, { timeoutMs: 1_000 }),
      );
      expect(Buffer.from(reply).toString('latin1')).toContain('ProtocolError');
      client.publish(subjects.heartbeat, payload);
    }
    const noSuch = `${subjects.allHeadRequests.slice(0, -1)}no.such`;
    await world.run(client.request(noSuch, encodeControl({}), { timeoutMs: 1_000 }));
    await world.clock.advance(100);
    expect(world.head.counters.invalidMessages).toBe(8);
    await world.startActor(driver);
  });
});
