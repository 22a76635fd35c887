import { appendFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { actorIdOf, init, kill, listActors, shutdown, type ActorOptions } from '@manta/sdk';
import { startTestCluster, type TestCluster, type TestNode } from '@manta/sdk/testing';
import { LateBornActor } from './fixtures/lives.ts';
import { failureOf, Journals, seen } from './testing/journal.ts';
import { processGone } from './testing/processes.ts';
import { at } from './testing/victims.ts';

const journals = new Journals();
let cluster: TestCluster;

beforeAll(async () => {
  cluster = await startTestCluster({ nodes: [{ cpus: 4 }] });
  await init({ address: cluster.address, logToDriver: false });
});
afterAll(async () => {
  await shutdown();
  await cluster[Symbol.asyncDispose]();
  journals.remove();
});

/** An actor that was made, and has answered, while its node could tell nobody of it. */
async function createUnreported(options: ActorOptions) {
  const node = await cluster.addNode({ cpus: 4 });
  const journal = journals.create();
  const actor = LateBornActor.options({ ...options, ...at(node) }).create(journal.file);
  await seen(journal, 'waiting');
  node.pause();
  appendFileSync(journal.file, 'go\n');
  return { node, actor, first: await actor.where() };
}

/** The node with all that it runs, before it could tell anybody. */
async function lose(node: TestNode, hostPid: number): Promise<void> {
  await node.kill('SIGKILL');
  process.kill(hostPid, 'SIGKILL');
  await processGone(hostPid);
}

describe('an actor that was made while its node cannot tell the head', () => {
  it('is called by the word of its process, and stays the same when the head hears of it', async () => {
    const { node, actor, first } = await createUnreported({});
    expect((await listActors()).map(({ state }) => state)).toEqual(['pending']);
    const listed = listActors();
    node.resume();
    expect((await listed).map(({ state }) => state)).toEqual(['alive']);
    expect(await actor.where()).toEqual(first);
    await kill(actor);
  });

  it('has lived: with its node it dies, when it may not be restarted', async () => {
    const { node, actor, first } = await createUnreported({});
    await lose(node, first);
    expect(await failureOf(actor.where())).toMatchObject({
      name: 'ActorDiedError',
      deathCause: { kind: 'node-died' },
    });
  });

  it('has lived: that it is made again elsewhere counts as a restart', async () => {
    const { node, actor, first } = await createUnreported({ maxRestarts: 1, maxTaskRetries: -1 });
    await lose(node, first);
    const second = await actor.where();
    expect(second).not.toBe(first);
    const found = (await listActors()).find(({ actorId }) => actorId === actorIdOf(actor));
    expect(found).toMatchObject({ state: 'alive', restarts: 1 });
    process.kill(second, 'SIGKILL');
    expect(await failureOf(actor.where())).toMatchObject({ name: 'ActorDiedError' });
  });
});
