import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { init, kill, listActors, getActor, shutdown } from '@manta/sdk';
import { startTestCluster, type TestCluster } from '@manta/sdk/testing';
import { waitFor } from '@manta/runtime/testing/wait-for';
import { ChildDriver } from './testing/child-driver.ts';
import { LifeActor } from './fixtures/lives.ts';
import { Journals } from './testing/journal.ts';
import { processGone } from './testing/processes.ts';

const journals = new Journals();
let cluster: TestCluster;
let drivers: ChildDriver[] = [];

beforeAll(async () => {
  cluster = await startTestCluster({ nodes: [{ cpus: 32 }] });
  await init({ address: cluster.address, namespace: 'tests', logToDriver: false });
});
afterEach(async () => {
  await Promise.all(drivers.map((driver) => driver.kill()));
  drivers = [];
});
afterAll(async () => {
  await shutdown();
  await cluster[Symbol.asyncDispose]();
  journals.remove();
});

interface Created {
  actorId: string;
  pid: number;
}

async function startDriver(namespace?: string): Promise<ChildDriver> {
  const driver = await ChildDriver.start(cluster.address, namespace);
  drivers.push(driver);
  return driver;
}

async function infoOf(actorId: string) {
  return (await listActors()).find((info) => info.actorId === actorId);
}

/** The promise is five seconds; each wait ends there. `collect`: what is asked before each look. */
function gone(actorId: string, kind: string, collect?: () => Promise<unknown>) {
  return waitFor(
    async () => {
      await collect?.();
      const info = await infoOf(actorId);
      return info?.state === 'dead' && info.deathCause?.kind === kind;
    },
    { timeoutMs: 5_000, describe: `${actorId} is dead: ${kind}` },
  );
}

describe.concurrent('the last handle', () => {
  let driver: ChildDriver;
  beforeAll(async () => {
    driver = await ChildDriver.start(cluster.address, 'tests');
  });
  afterAll(() => driver.kill());

  /** Collects before each look: what still refers to a handle when it is dropped may end a little later. */
  const collected = (actorId: string): Promise<unknown> =>
    gone(actorId, 'out-of-scope', () => driver.ask('collect'));

  it('ends its actor when it is collected', async () => {
    const { actorId, pid } = await driver.ask<Created>('create', { key: 'a0' });
    const kept = await driver.ask<Created>('create', { key: 'b0' });
    await driver.ask('drop', { key: 'a0' });
    await collected(actorId);
    await processGone(pid);
    expect(await infoOf(kept.actorId)).toMatchObject({ state: 'alive' });
  });

  it('does not end it under a call', async () => {
    const { actorId } = await driver.ask<Created>('create', { key: 'a1' });
    await driver.ask('call', { key: 'a1', milliseconds: 2_500 });
    await driver.ask('drop', { key: 'a1' });
    await driver.ask('collect');
    expect(await driver.ask('result')).toBe('done');
    await collected(actorId);
  });

  it('counts where it is only inside a value', async () => {
    const { actorId } = await driver.ask<Created>('create', { key: 'a2' });
    await driver.ask('putAndDrop', { key: 'a2' });
    await driver.ask('collect');
    const other = await driver.ask<Created>('create', { key: 'other2' });
    await driver.ask('drop', { key: 'other2' });
    await collected(other.actorId);
    expect(await infoOf(actorId)).toMatchObject({ state: 'alive' });
    await driver.ask('drop', { key: 'ref of a2' });
    await collected(actorId);
  });

  it('does not matter to a detached actor', async () => {
    const options = { lifetime: 'detached', name: 'dropped' };
    const { actorId } = await driver.ask<Created>('create', { key: 'a3', options });
    const probe = await driver.ask<Created>('create', { key: 'probe3' });
    for (const key of ['a3', 'probe3']) await driver.ask('drop', { key });
    await collected(probe.actorId);
    expect(await infoOf(actorId)).toMatchObject({ state: 'alive' });
    await kill(await getActor('dropped'));
  });
});

describe('the death of an owner', () => {
  it('ends the actors of a killed driver, not the detached ones', async () => {
    const driver = await startDriver();
    const isolations = ['process', 'thread', 'shared'];
    const created = await Promise.all(
      isolations.map((isolation) =>
        driver.ask<Created>('create', { key: isolation, options: { isolation, maxRestarts: -1 } }),
      ),
    );
    const child = await driver.ask<string>('bear', { key: 'process' });
    const options = { lifetime: 'detached', name: 'survivor' };
    const survivor = await driver.ask<Created>('create', { key: 'd', options });
    await driver.kill();
    await Promise.all([
      ...created.map(({ actorId }) => gone(actorId, 'owner-died')),
      gone(child, 'owner-died'),
    ]);
    await processGone(created[0]?.pid ?? 0);
    const other = await startDriver();
    expect(await other.ask('find', { name: 'survivor' })).toEqual(survivor);
    await kill(await getActor('survivor'));
    await gone(survivor.actorId, 'killed');
  });

  it.each(['process', 'thread'])(
    'ends the children of an actor that is gone (%s)',
    async (isolation) => {
      const driver = await startDriver();
      const { actorId } = await driver.ask<Created>('create', {
        key: 'parent',
        options: { isolation, name: 'parent' },
      });
      const child = await driver.ask<string>('bear', { key: 'parent' });
      const detached = await driver.ask<string>('bear', {
        key: 'parent',
        options: { lifetime: 'detached', name: 'child that stays' },
      });
      await kill(await getActor('parent'));
      await gone(actorId, 'killed');
      await gone(child, 'owner-died');
      expect(await infoOf(detached)).toMatchObject({ state: 'alive' });
      await kill(await getActor('child that stays'));
    },
  );
});

describe('names', () => {
  it('are free again when their actor is dead', async () => {
    const options = { name: 'reused' };
    const first = LifeActor.options(options).create(journals.create().file);
    await first.add(1);
    await expect(LifeActor.options(options).create('unused').add(1)).rejects.toMatchObject({
      name: 'NameTakenError',
    });
    await kill(first);
    const second = LifeActor.options(options).create(journals.create().file);
    expect(await second.add(1)).toBe(1);
    await kill(second);
    await expect(getActor('reused')).rejects.toMatchObject({ name: 'ActorNotFoundError' });
  });

  it('belong to a namespace', async () => {
    const [here, there] = await Promise.all([startDriver('here'), startDriver('there')]);
    const options = { name: 'same' };
    const mine = await here.ask<Created>('create', { key: 'a', options });
    const theirs = await there.ask<Created>('create', { key: 'a', options });
    expect(mine.actorId).not.toBe(theirs.actorId);
    expect(await here.ask('find', { name: 'same' })).toEqual(mine);
    expect(await here.ask('find', { name: 'same', namespace: 'there' })).toEqual(theirs);
    await expect(here.ask('find', { name: 'same', namespace: 'nowhere' })).rejects.toMatchObject({
      name: 'ActorNotFoundError',
    });
  });

  it('make one actor of getIfExists from three drivers at once', async () => {
    const racers = await Promise.all([startDriver(), startDriver(), startDriver()]);
    const journal = journals.create();
    const options = { name: 'contended', getIfExists: true, lifetime: 'detached' };
    const created = await Promise.all(
      racers.map((driver) =>
        driver.ask<Created>('create', { key: 'a', options, args: [journal.file] }),
      ),
    );
    expect(new Set(created.map(({ actorId }) => actorId)).size).toBe(1);
    expect(new Set(created.map(({ pid }) => pid)).size).toBe(1);
    expect(journal.count('constructed')).toBe(1);
    await kill(await getActor('contended'));
  });
});
