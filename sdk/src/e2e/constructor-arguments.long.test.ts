import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { collectGarbage } from '@manta/runtime/core/garbage';
import { waitFor } from '@manta/runtime/testing/wait-for';
import { free, getActor, init, kill, put, ready, shutdown, type ObjectRef } from '@manta/sdk';
import { startTestCluster, type TestCluster } from '@manta/sdk/testing';
import { CreatorActor, KeeperActor } from './fixtures/constructors.ts';
import { coreOf } from './testing/core.ts';

/** 16 MiB: twice what a control message may have. */
const LENGTH = 4 * 2 ** 20;
const numbers = (value: number, length = LENGTH) => new Float32Array(length).fill(value);

let cluster: TestCluster;

beforeAll(async () => {
  cluster = await startTestCluster({ nodes: [{}, {}] });
  await init({ address: cluster.address, namespace: 'tests', logToDriver: false });
});
afterAll(async () => {
  await shutdown();
  await cluster[Symbol.asyncDispose]();
});

/** On the node whose store this program uses, or on the other one. */
function keeperOn(which: 'own' | 'other') {
  const own = coreOf(put(0)).store.agent?.nodeId;
  const node = cluster.nodes.find(({ nodeId }) => (nodeId === own) === (which === 'own'));
  return KeeperActor.options({ scheduling: { nodeId: node?.nodeId as string } });
}

const failureOf = (result: PromiseLike<unknown>): Promise<unknown> =>
  Promise.resolve(result).then(
    () => undefined,
    (error: unknown) => error,
  );

describe('large constructor arguments', () => {
  it.each(['own', 'other'] as const)('are read in place on the %s node', async (which) => {
    const ref = put(numbers(2));
    for (const keeper of [keeperOn(which).create(ref), keeperOn(which).create(numbers(2))])
      expect(await keeper.facts()).toEqual({ length: LENGTH, last: 2, copiedBytes: 0 });
  });

  it('are serialised at the call', async () => {
    const values = numbers(3);
    const keeper = KeeperActor.create(values);
    values.fill(4);
    expect((await keeper.facts()).last).toBe(3);
  });

  it('go beside small ones, refs and handles', async () => {
    const box = { ref: put(numbers(5)) };
    const text = 'x'.repeat(2 ** 20);
    const keeper = KeeperActor.create(numbers(1), 7, put('seven'), text, box, new Date(0));
    const [seven, word, long, held, date] = await keeper.others();
    expect([seven, word, long, date]).toEqual([7, 'seven', text, new Date(0)]);
    expect((await (held as { ref: ObjectRef<Float32Array> }).ref)[0]).toBe(5);
  });

  it('of which each is small stay within a message together', async () => {
    const parts = Array.from({ length: 200 }, (_, index) => new Uint8Array(90_000).fill(index));
    const others = await KeeperActor.create(numbers(1, 1), ...parts).others();
    expect(others.map((part) => (part as Uint8Array)[0])).toEqual(parts.map((part) => part[0]));
  });

  it('are there for every life of the actor, and freed after the last', async () => {
    const { store } = coreOf(put(0));
    await collectGarbage();
    const before = store.statistics()?.liveBytes ?? 0;
    const keeper = keeperOn('own')
      .options({ maxRestarts: 1, maxTaskRetries: -1 })
      .create(numbers(6));
    await ready(keeper);
    await collectGarbage();
    await kill(keeper, { restart: true });
    expect((await keeper.facts()).last).toBe(6);
    await kill(keeper);
    await waitFor(
      async () => {
        await collectGarbage();
        return (store.statistics()?.liveBytes ?? 0) <= before;
      },
      { describe: 'the argument is freed' },
    );
  });

  it('are freed when an actor without restarts lets go of them', async () => {
    const { store } = coreOf(put(0));
    await collectGarbage();
    const before = store.statistics()?.liveBytes ?? 0;
    const keeper = keeperOn('own').create(numbers(6));
    expect((await keeper.facts()).last).toBe(6);
    await waitFor(
      async () => {
        await keeper.forget();
        await collectGarbage();
        return (store.statistics()?.liveBytes ?? 0) <= before;
      },
      { timeoutMs: 20_000, describe: 'the argument is freed' },
    );
    expect((await keeper.facts()).length).toBe(0);
  });

  it('fail the creation with the error of a ref that has failed', async () => {
    const ref = put(numbers(1));
    await free([ref]);
    expect(await failureOf(KeeperActor.create(ref).facts())).toMatchObject({
      name: 'ObjectFreedError',
    });
  });

  it('fail a later life of a detached actor whose creator is gone, in words', async () => {
    const creator = CreatorActor.create();
    await creator.createDetached(LENGTH, 'orphan');
    const keeper = await getActor('orphan');
    expect((await keeper.facts()).last).toBe(1);
    await kill(creator);
    await kill(keeper, { restart: true });
    expect(await failureOf(ready(keeper))).toMatchObject({
      name: 'ActorDiedError',
      deathCause: { kind: 'constructor-failed' },
      message: expect.stringContaining('could not get its arguments'),
      cause: { name: 'OwnerDiedError' },
    });
  });

  it('outlive the handles of their creator', async () => {
    const creator = CreatorActor.create();
    await creator.createDetached(LENGTH, 'adopted');
    const keeper = await getActor('adopted');
    await kill(keeper, { restart: true });
    expect((await keeper.facts()).last).toBe(1);
    await kill(keeper);
  });

  it('hold the refs inside until the constructor has them', async () => {
    const creator = CreatorActor.create();
    const ref = put(numbers(8));
    const [box] = await creator.passOn(LENGTH, { ref });
    expect((await (box as { ref: ObjectRef<Float32Array> }).ref)[0]).toBe(8);
  });
});
