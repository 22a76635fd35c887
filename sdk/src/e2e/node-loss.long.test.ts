import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  explain,
  get,
  init,
  kill,
  listNodes,
  ready,
  shutdown,
  type ActorOptions,
} from '@manta/sdk';
import { startTestCluster, type TestCluster, type TestNode } from '@manta/sdk/testing';
import { waitFor } from '@manta/runtime/testing/wait-for';
import { DeviceActor, SlowStarterActor, TickerActor } from './fixtures/lives.ts';
import { failureOf, Journals } from './testing/journal.ts';
import { livesWith } from './testing/lives.ts';
import { descendantsOf, isAlive } from './testing/processes.ts';
import { at } from './testing/victims.ts';

const journals = new Journals();
const createLife = livesWith(journals);
let cluster: TestCluster;

afterAll(() => journals.remove());

async function open(options: Parameters<typeof startTestCluster>[0]): Promise<void> {
  cluster = await startTestCluster(options);
  await init({ address: cluster.address, logToDriver: false });
}

async function close(): Promise<void> {
  await shutdown();
  await cluster[Symbol.asyncDispose]();
}

async function nodeState(nodeId: string): Promise<string | undefined> {
  return (await listNodes()).find((node) => node.nodeId === nodeId)?.state;
}

describe('at default settings', () => {
  beforeAll(() =>
    open({
      nodes: [
        { cpus: 4, labels: { zone: 'a' } },
        { cpus: 4, labels: { zone: 'b' } },
        { cpus: 4, gpus: 2, labels: { zone: 'c' } },
      ],
    }),
  );
  afterAll(close);

  it('restarts the actors of a killed node elsewhere, and nothing of it survives', async () => {
    const victim = await cluster.addNode({ cpus: 8 });
    const isolations = ['process', 'thread', 'shared'] as const;
    const risen = isolations.map((isolation) =>
      createLife({ ...at(victim), isolation, maxRestarts: 1 }),
    );
    const mortal = createLife(at(victim));
    const lives = [...risen, mortal];
    const homes = await get(lives.map(({ actor }) => actor.where()));
    expect(homes.map(({ nodeId }) => nodeId)).toEqual(lives.map(() => victim.nodeId));
    const calls = lives.map(({ actor }) => actor.noteAndWait('running'));
    await waitFor(() => lives.every(({ journal }) => journal.count('running') === 1), {
      describe: 'calls run',
    });
    const processes = descendantsOf(victim.pid);
    expect(processes).toEqual(expect.arrayContaining(homes.map(({ pid }) => pid)));

    const failures = Promise.all(calls.map(failureOf));
    await victim.kill();
    await waitFor(() => !processes.some(isAlive), {
      timeoutMs: 5_000,
      describe: 'all its processes are gone',
    });
    const elsewhere = await get(
      risen.map(({ actor }) => actor.where.options({ maxTaskRetries: -1 })()),
      { timeoutMs: 5_000 },
    );
    expect(elsewhere.map(({ restarts }) => restarts)).toEqual([1, 1, 1]);
    for (const { nodeId } of elsewhere) expect(nodeId).not.toBe(victim.nodeId);
    const errors = await failures;
    expect(errors.map(({ name }) => name)).toEqual([
      'ActorUnavailableError',
      'ActorUnavailableError',
      'ActorUnavailableError',
      'ActorDiedError',
    ]);
    expect(errors[3]).toMatchObject({ deathCause: { kind: 'node-died', nodeId: victim.nodeId } });
    await expect(mortal.actor.add(1)).rejects.toMatchObject({ deathCause: { kind: 'node-died' } });
    expect(await nodeState(victim.nodeId)).toBe('dead');
    await Promise.all(risen.map(({ actor }) => kill(actor)));
  });

  it('starts elsewhere what was created as its node was killed, or was starting there, at no cost', async () => {
    const victim = await cluster.addNode({ cpus: 8 });
    const starting = SlowStarterActor.options(at(victim)).create(800);
    await waitFor(async () => (await explain(starting)).reason.includes('It starts on'), {
      describe: 'it starts',
    });
    const killed = victim.kill();
    const { actor: during } = createLife(at(victim));
    await killed;
    await expect.poll(() => nodeState(victim.nodeId)).toBe('suspect');
    const { actor: after } = createLife(at(victim));
    const elsewhere = async (actor: typeof after): Promise<void> => {
      const { nodeId, restarts } = await actor.where();
      expect(nodeId).not.toBe(victim.nodeId);
      expect(restarts).toBe(0);
    };
    await elsewhere(after);
    expect(await nodeState(victim.nodeId)).toBe('suspect');
    // The node may have heard of this one in its last moment; then it has to be dead first.
    await elsewhere(during);
    expect(await starting.ping()).toBe('pong');
    expect(await nodeState(victim.nodeId)).toBe('dead');
    await Promise.all([kill(starting), kill(during), kill(after)]);
  });

  it('does not bury a node that was stopped for a second', async () => {
    const [node] = cluster.nodes as [TestNode];
    const { actor } = createLife(at(node));
    const before = await actor.where();
    node.pause();
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    expect(await actor.add(1)).toBe(1);
    node.resume();
    const other = createLife({ scheduling: { nodeId: node.nodeId } });
    expect((await other.actor.where()).nodeId).toBe(node.nodeId);
    expect(await actor.where()).toEqual(before);
    expect(await nodeState(node.nodeId)).toBe('alive');
    await Promise.all([kill(actor), kill(other.actor)]);
  });

  it('drains: nothing new comes, what may restart moves, the rest ends', async () => {
    const node = await cluster.addNode({ cpus: 4 });
    const moving = createLife({ ...at(node), maxRestarts: 1 });
    const staying = createLife(at(node));
    await Promise.all([ready(moving.actor), ready(staying.actor)]);
    await node.drain(300);
    await waitFor(async () => (await nodeState(node.nodeId)) === 'draining', {
      describe: 'it drains',
    });
    const newcomer = createLife(at(node));
    expect((await newcomer.actor.where()).nodeId).not.toBe(node.nodeId);
    await expect(staying.actor.noteAndWait('never ends')).rejects.toMatchObject({
      name: 'ActorDiedError',
      deathCause: { kind: 'node-died', nodeId: node.nodeId },
    });
    const moved = await moving.actor.where.options({ maxTaskRetries: -1 })();
    expect(moved.nodeId).not.toBe(node.nodeId);
    await Promise.all([kill(moving.actor), kill(newcomer.actor)]);
  });

  it('never sums fractions of several devices', async () => {
    const share = (gpus: number) =>
      DeviceActor.options({ gpus, schedulingTimeoutMs: 300 }).create();
    const [one, two] = [share(0.6), share(0.6)];
    const devices = await get([one.devices(), two.devices()]);
    expect(devices.map(({ gpuIds }) => gpuIds[0] ?? '').sort()).toEqual(['0', '1']);
    const error = await failureOf(share(0.8).devices());
    expect(error.name).toBe('SchedulingTimeoutError');
    const gpuNode = cluster.nodes[2] as TestNode;
    expect((error['perNode'] as Record<string, string>)[gpuNode.nodeId]).toMatch(/GPU|device/i);
    await expect(share(1).devices()).rejects.toMatchObject({ name: 'SchedulingTimeoutError' });
    const small = share(0.4);
    expect(['0', '1']).toContain((await small.devices()).gpuIds[0]);
    await Promise.all([one, two, small].map((actor) => kill(actor)));
    const both = share(2);
    expect((await both.devices()).gpuIds).toEqual(['0', '1']);
    await kill(both);
    await expect(share(3).devices()).rejects.toMatchObject({ name: 'InfeasibleError' });
  });

  it.each(['process', 'thread', 'shared'] as const)(
    'shows an actor its devices before its module loads (%s)',
    async (isolation) => {
      const actors = [1, 1].map((gpus) => DeviceActor.options({ gpus, isolation }).create());
      const seen = await get(actors.map((actor) => actor.devices()));
      for (const { atLoad, now, gpuIds } of seen)
        expect([atLoad, now]).toEqual([gpuIds[0], gpuIds[0]]);
      expect(seen.map(({ atLoad }) => atLoad ?? '').sort()).toEqual(['0', '1']);
      const none = DeviceActor.options({ isolation }).create();
      expect(await none.devices()).toEqual({ atLoad: '', now: '', gpuIds: [] });
      await Promise.all([...actors, none].map((actor) => kill(actor)));
    },
  );

  it('places by label, and spreads', async () => {
    const [a, b, c] = cluster.nodes as [TestNode, TestNode, TestNode];
    const placed = async (options: ActorOptions): Promise<string> => {
      const actor = DeviceActor.options(options).create();
      const nodeId = await actor.nodeId();
      await kill(actor);
      return nodeId;
    };
    expect(await placed({ labels: { zone: 'b' } })).toBe(b.nodeId);
    expect(await placed({ labels: { zone: 'in(b,x)' } })).toBe(b.nodeId);
    expect([a.nodeId, b.nodeId]).toContain(await placed({ labels: { zone: 'in(a,b)' } }));
    expect(await placed({ labels: { zone: '!in(a,b)' }, resources: {}, gpus: 1 })).toBe(c.nodeId);
    const options: ActorOptions = { cpus: 1, scheduling: 'spread', labels: { zone: 'in(a,b)' } };
    const actors = Array.from({ length: 4 }, () => DeviceActor.options(options).create());
    const homes = await get(actors.map((actor) => actor.nodeId()));
    expect(homes.sort()).toEqual([a.nodeId, a.nodeId, b.nodeId, b.nodeId].sort());
    await Promise.all(actors.map((actor) => kill(actor)));
  });

  it('says per node why it has no place, and gives up when told so', async () => {
    const living = cluster.nodes.slice(0, 3).map(({ nodeId }) => nodeId);
    const nowhere = DeviceActor.options({ labels: { zone: 'nowhere' } }).create();
    await waitFor(async () => (await explain(nowhere)).state === 'pending', {
      describe: 'it is registered',
    });
    const { perNode = {}, reason } = await explain(nowhere);
    for (const nodeId of living) expect(perNode[nodeId]).toMatch(/zone/);
    expect(reason).toMatch(/No node/);
    await kill(nowhere);
    const error = await failureOf(
      DeviceActor.options({ cpus: 1000, schedulingTimeoutMs: 100 }).create().nodeId(),
    );
    expect(error.name).toBe('InfeasibleError');
    for (const nodeId of living)
      expect((error['perNode'] as Record<string, string>)[nodeId]).toMatch(/1000/);
  });
});

describe('cut off, with fast detection', () => {
  beforeAll(() => open({ nodes: [{ cpus: 4 }, { cpus: 4 }], failureDetectionMs: 900 }));
  afterAll(close);

  it('never runs two lives of an actor at the same time, and takes the healed node back', async () => {
    const journal = journals.create();
    const ticker = TickerActor.options({ maxRestarts: 1 }).create(journal.file);
    const before = await ticker.where();
    const node = cluster.nodes.find(({ nodeId }) => nodeId === before.nodeId) as TestNode;
    const mortal = createLife({ scheduling: { nodeId: node.nodeId } });
    await mortal.actor.add(1);
    await node.partition();
    const after = await waitFor(
      async () => {
        const there = await ticker.where.options({ maxTaskRetries: -1, timeoutMs: 5_000 })();
        return there.restarts === 1 ? there : undefined;
      },
      { timeoutMs: 20_000, describe: 'it runs on the other node' },
    );
    expect(after.nodeId).not.toBe(node.nodeId);
    expect(isAlive(before.pid)).toBe(false);
    await expect(mortal.actor.add(1)).rejects.toMatchObject({
      name: 'ActorDiedError',
      deathCause: { kind: 'node-died' },
    });
    const ticks = journal.lines().length;
    await node.heal();
    await waitFor(
      async () => (await listNodes()).filter(({ state }) => state === 'alive').length === 2,
      {
        describe: 'the healed node is back',
      },
    );
    await waitFor(() => journal.lines().length > ticks + 20, { describe: 'it goes on' });
    const lives = journal.lines();
    expect(lives).toEqual([...lives].sort());
    const other = (await listNodes()).find(
      ({ nodeId, state }) => state === 'alive' && nodeId !== after.nodeId,
    );
    const back = DeviceActor.options({ scheduling: { nodeId: other?.nodeId ?? '' } }).create();
    expect(await back.nodeId()).toBe(other?.nodeId);
  });
});
