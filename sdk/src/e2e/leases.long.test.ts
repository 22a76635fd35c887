import { afterAll, beforeAll, expect, it } from 'vitest';
import { availableResources, get, init, listActors, shutdown } from '@manta/sdk';
import { startTestCluster, type TestCluster } from '@manta/sdk/testing';
import { waitFor } from '@manta/runtime/testing/wait-for';
import { noteSlowly, pid } from './fixtures/tasks.ts';
import { Journals } from './testing/journal.ts';

const journals = new Journals();
let cluster: TestCluster;

beforeAll(async () => {
  cluster = await startTestCluster({ nodes: [{ cpus: 2 }, { cpus: 2 }] });
  await init({ address: cluster.address, namespace: 'tests', logToDriver: false });
});
afterAll(async () => {
  await shutdown();
  await cluster[Symbol.asyncDispose]();
  journals.remove();
});

const until = (condition: () => unknown): Promise<unknown> =>
  waitFor(condition, { timeoutMs: 20_000, describe: String(condition) });
const allIsFree = () => until(async () => (await availableResources())['cpus'] === 4);

it('leave their process to the next one, and are in no list of actors', async () => {
  const first = await pid();
  expect(await listActors()).toEqual([]);
  await allIsFree();
  expect(await pid()).toBe(first);
  await allIsFree();
});

it('outlive their head: every task runs once, and nothing stays taken', async () => {
  const journal = journals.create();
  const refs = Array.from({ length: 8 }, (_, index) =>
    noteSlowly(journal.file, `task ${index}`, 3_000),
  );
  await until(() => journal.lines().length >= 4);
  await cluster.killHead('SIGKILL');
  await cluster.restartHead();
  await get(refs);
  expect(journal.lines().sort()).toEqual(refs.map((_, index) => `task ${index}`));
  await allIsFree();
});
