import { readdir } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { init, put, shutdown } from '@manta/sdk';
import { startTestCluster } from '@manta/sdk/testing';
import { RefPlayer } from './testing/ref-player.ts';
import { coreOf } from './testing/core.ts';

const STEPS = 400;
/** Steps between two looks at what has been freed. */
const STEPS_BETWEEN_LOOKS = 100;
/** What was on its way to or from a dead process is given up once its owner has asked around, twice. */
const GONE_MS = 60_000;
const POLL_MS = 100;

/** What these nodes keep in memory, outside of processes. */
async function storesOf(nodeIds: readonly string[]): Promise<string[]> {
  const entries = await readdir('/dev/shm');
  return entries.filter((entry) => nodeIds.some((nodeId) => entry.includes(nodeId)));
}

/** What is still there after a while; nothing, if all goes well. */
async function untilNone(list: () => Promise<string[]>): Promise<string[]> {
  const deadline = performance.now() + GONE_MS;
  let found = await list();
  while (found.length > 0 && performance.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    found = await list();
  }
  return found;
}

async function play(seed: number, nodeIds: readonly string[]): Promise<void> {
  const player = new RefPlayer(seed, coreOf(put(0)), nodeIds);
  const because = (): string => `seed ${seed}, after:\n${player.log.slice(-40).join('\n')}`;
  await player.begin();
  for (let step = 1; step <= STEPS; step += 1) {
    expect(await player.step(), because()).toEqual([]);
    if (step % STEPS_BETWEEN_LOOKS !== 0) continue;
    expect(await player.readAll(), because()).toEqual([]);
    expect(await untilNone(() => player.unreachable()), because()).toEqual([]);
  }
  await player.letGo();
  expect(await untilNone(() => player.remains()), because()).toEqual([]);
  expect(player.counts['kill']).toBeGreaterThan(3);
  expect(player.counts['read']).toBeGreaterThan(20);
}

it('never takes what a process can still reach, and gives all else back', async () => {
  const cluster = await startTestCluster({ nodes: [{ cpus: 4 }, { cpus: 4 }] });
  const nodeIds = cluster.nodes.map(({ nodeId }) => nodeId);
  try {
    await init({ address: cluster.address, logToDriver: false });
    await play(Number(process.env['MANTA_SEED'] ?? Math.floor(Math.random() * 2 ** 31)), nodeIds);
  } finally {
    await shutdown();
    await cluster[Symbol.asyncDispose]();
  }
  expect(await untilNone(() => storesOf(nodeIds))).toEqual([]);
});
