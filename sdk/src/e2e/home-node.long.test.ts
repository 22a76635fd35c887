/** What a program has of the node on its machine, when another one takes the place of that node. */
import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { get, init, listObjects, put, shutdown } from '@manta/sdk';
import { startTestCluster, type TestCluster, type TestNode } from '@manta/sdk/testing';
import { HolderActor } from './fixtures/objects.ts';
import { coreOf } from './testing/core.ts';
import { at } from './testing/victims.ts';

const LENGTH = 1_000_000;

let cluster: TestCluster;

beforeAll(async () => {
  cluster = await startTestCluster({ failureDetectionMs: 1_000 });
  await init({ address: cluster.address, logToDriver: false });
});
afterAll(async () => {
  await shutdown();
  await cluster[Symbol.asyncDispose]();
});

it.each(['SIGKILL', 'SIGTERM'] as const)(
  'is found again when its node ends by %s',
  async (signal) => {
    const first = put(new Float32Array(LENGTH));
    await get(first);
    const { store, options } = coreOf(first);
    const former = store.agent;
    await cluster.nodes.at(-1)?.kill(signal);
    const node: TestNode = await cluster.addNode();
    await expect
      .poll(() => store.agent?.nodeId, { timeout: 20_000, interval: 50 })
      .toBe(node.nodeId);
    expect(former?.nodeId).not.toBe(node.nodeId);

    const holder = HolderActor.options(at(node)).create();
    const value = put(new Float32Array(LENGTH).fill(2));
    expect(await holder.sum(value)).toBe(2 * LENGTH);
    const made = holder.make(LENGTH, 3);
    expect((await get(made))[LENGTH - 1]).toBe(3);
    for (const { id } of [value, made])
      expect(await listObjects({ objectId: id })).toMatchObject([{ where: 'memory' }]);

    const { socketPath = '' } = options.address;
    expect(dirname(socketPath)).toBe(dirname(store.agent?.socketPath ?? ''));
    expect(existsSync(socketPath)).toBe(true);
  },
);
