import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  availableResources,
  type ClusterInfo,
  clusterResources,
  get,
  getActor,
  init,
  isInitialized,
  kill,
  listActors,
  listJobs,
  listNodes,
  MantaError,
  put,
  ready,
  shutdown,
  wait,
} from '@manta/sdk';
import { parseAddress } from '@manta/runtime/session/address';
import { startTestCluster, type TestCluster } from '@manta/sdk/testing';
import { GateActor } from './fixtures/gates.ts';
import { add, context, count, makeBytes } from './fixtures/tasks.ts';
import { failureOf } from './testing/journal.ts';

const GIB = 2 ** 30;
let cluster: TestCluster;
let info: ClusterInfo;

beforeAll(async () => {
  cluster = await startTestCluster({
    nodes: [
      { cpus: 4, gpus: 1, memoryBytes: 2 * GIB, labels: { zone: 'a' } },
      { cpus: 2, memoryBytes: GIB, resources: { licence: 2 } },
    ],
  });
  const { url: address, token = '' } = parseAddress(cluster.address);
  info = await init({
    address,
    token,
    logToDriver: false,
    namespace: 'contract',
    runtimeEnv: { env: { MANTA_TEST_VARIABLE: 'job' } },
  });
});
afterAll(async () => {
  await shutdown();
  await cluster[Symbol.asyncDispose]();
});

describe('a cluster that was joined by address and token', () => {
  it('says what it is', () => {
    expect(info).toEqual({
      clusterId: expect.stringMatching(/./) as string,
      jobId: expect.stringMatching(/^j_/) as string,
      nodeId: expect.stringMatching(/^n_/) as string,
      namespace: 'contract',
      address: parseAddress(cluster.address).url,
    });
    expect(cluster.nodes.map(({ nodeId }) => nodeId)).toContain(info.nodeId);
    expect(isInitialized()).toBe(true);
  });

  it('counts what it has, what is free, and shows its nodes', async () => {
    const total = { cpus: 6, gpus: 1, memoryBytes: 3 * GIB, licence: 2 };
    expect(await clusterResources()).toEqual(total);
    const gate = GateActor.options({ cpus: 1.5, resources: { licence: 1 } }).create();
    await gate.status();
    const free = { ...total, cpus: 4.5, licence: 1 };
    await expect.poll(() => availableResources(), { timeout: 10_000 }).toEqual(free);
    const [first, second] = cluster.nodes.map(({ nodeId }) => nodeId);
    const nodes = await listNodes();
    expect(nodes.find(({ nodeId }) => nodeId === first)).toMatchObject({
      state: 'alive',
      resources: { cpus: 4, gpus: 1, memoryBytes: 2 * GIB },
      available: { cpus: 4, gpus: 1 },
      labels: { zone: 'a' },
      gpus: [{ index: 0, model: 'Simulated', freeShare: 1, memoryBytes: 16 * GIB }],
    });
    expect(nodes.find(({ nodeId }) => nodeId === second)).toMatchObject({
      resources: { cpus: 2, licence: 2 },
      available: { cpus: 0.5, licence: 1 },
      gpus: [],
    });
    await kill(gate);
    await expect.poll(() => availableResources(), { timeout: 10_000 }).toEqual(total);
  });

  it('lists actors by any of their properties, and jobs', async () => {
    const gate = GateActor.options({ name: 'listed' }).create();
    await gate.status();
    const [actor, ...others] = await listActors({ name: 'listed', state: 'alive' });
    expect(others).toEqual([]);
    expect(actor).toMatchObject({
      className: 'Gate',
      name: 'listed',
      namespace: 'contract',
      state: 'alive',
      restarts: 0,
      pid: expect.any(Number) as number,
      nodeId: expect.stringMatching(/^n_/) as string,
    });
    expect(await listActors({ name: 'listed', namespace: 'another' })).toEqual([]);
    expect(await listActors({ nodeId: 'n_nowhere' })).toEqual([]);
    expect(await listActors({ className: 'Gate', nodeId: actor?.nodeId ?? '' })).not.toEqual([]);
    expect(await listJobs()).toMatchObject([{ jobId: info.jobId }]);
    await kill(gate);
    await expect
      .poll(async () => (await listActors({ name: 'listed' }))[0], { timeout: 10_000 })
      .toMatchObject({ state: 'dead', deathCause: { kind: 'killed' } });
  });

  it("gives actors and tasks the variables of the job, and of what made them; a task's own go first", async () => {
    const gate = GateActor.create();
    expect(await gate.variables(['MANTA_TEST_VARIABLE'])).toEqual(['job']);
    expect((await context()).variable).toBe('job');
    const runtimeEnv = { env: { MANTA_TEST_VARIABLE: 'own' } };
    expect((await context.options({ runtimeEnv })()).variable).toBe('own');
    expect(await gate.variableOfTask()).toBe('job');
    const other = GateActor.options({ runtimeEnv }).create();
    expect(await other.variableOfTask()).toBe('own');
  });
});

it('after shutdown() everything says so, and works again after another init()', async () => {
  const gate = GateActor.create();
  const [small, large, elsewhere, pending] = [
    put('small'),
    put(new Uint8Array(2 ** 20)),
    makeBytes.options({ labels: { zone: 'a' } })(2 ** 20, 1),
    gate.pass(),
  ];
  const stream = count(1_000_000_000);
  await wait([elsewhere], { fetchLocal: false });
  await shutdown();
  expect(isInitialized()).toBe(false);
  expect(await get(small)).toBe('small');
  const uses: [string, () => unknown][] = [
    ['put', () => put(1)],
    ['get of what is pending', () => get(pending)],
    ['a task', () => add(1, 2)],
    ['create', () => GateActor.create()],
    ['a method', () => gate.status()],
    ['getActor', () => getActor('nobody')],
    ['ready', () => ready(gate)],
    ['kill', () => kill(gate)],
    ['listNodes', () => listNodes()],
    ['listActors', () => listActors()],
    ['clusterResources', () => clusterResources()],
    ['get of what is on another node', () => get([large, elsewhere])],
    [
      'a stream',
      async () => {
        for await (const _item of stream) continue;
      },
    ],
  ];
  for (const [what, use] of uses) {
    const failure = await failureOf((async () => await use())());
    expect(MantaError.is(failure, 'NotInitializedError'), `${what}: ${failure.message}`).toBe(true);
    expect(failure['code'], what).toBe('MANTA_NOT_INITIALIZED');
    expect(failure.message, what).toMatch(/^Manta was shut down in this process.*init\(\)/);
  }
  await init({ address: cluster.address, logToDriver: false });
  expect(await get([add(1, 2), put(3)])).toEqual([3, 3]);
});

it('options of init() that are wrong are named', async () => {
  await shutdown();
  await expect(init({ adress: 'auto' } as never)).rejects.toThrow(
    /Unknown init option "adress"; known: .*address/,
  );
  await expect(init({ cpus: -1 })).rejects.toThrow(/Init option cpus must be/);
  await expect(init({ runtimeEnv: { workingDir: '.' } as never })).rejects.toThrow(/runtimeEnv/);
  expect(isInitialized()).toBe(false);
});
