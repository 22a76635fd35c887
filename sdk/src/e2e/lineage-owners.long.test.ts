import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { collectGarbage } from '@manta/runtime/core/garbage';
import { waitFor } from '@manta/runtime/testing/wait-for';
import { actorIdOf, get, listActors, type ObjectRef, put } from '@manta/sdk';
import type { TestNode } from '@manta/sdk/testing';
import { LENGTH, make, makeItems, MakerActor, next } from './fixtures/lineage.ts';
import { coreOf } from './testing/core.ts';
import { failureOf, Journals } from './testing/journal.ts';
import { at, firstsOf, ready, Victims } from './testing/victims.ts';

const journals = new Journals();
let victims: Victims;

beforeAll(async () => {
  // Room for the recipes of some tasks, not for their large arguments.
  process.env['MANTA_LINEAGE_BYTES'] = String(1_000_000);
  victims = await Victims.start();
});
afterAll(async () => {
  await victims[Symbol.asyncDispose]();
  delete process.env['MANTA_LINEAGE_BYTES'];
  journals.remove();
});

/** 'read', or what its reading fails with: until the news of a death is here it may be read. */
const outcomeOf = (ref: ObjectRef<Float32Array>): Promise<string> =>
  get(ref).then(
    () => 'read',
    (error: Error) => error.name,
  );

describe('the result of an actor call', () => {
  it('with maxTaskRetries is made again by the actor, once it lives again', async () => {
    const journal = journals.create();
    const victim = await victims.add();
    const options = { ...at(victim), maxRestarts: 1, maxTaskRetries: 1 };
    const actor = MakerActor.options(options).create();
    const ref = actor.make(journal.file, 'made', 6);
    await ready([ref]);
    await victim.kill();
    expect((await get(ref))[0]).toBe(6);
    expect(journal.count('made')).toBe(2);
  });

  it('without them is lost at once; nor does a dead actor make it again', async () => {
    const journal = journals.create();
    const victim = await victims.add();
    const once = MakerActor.options({ ...at(victim), maxRestarts: 1 }).create();
    const mortal = MakerActor.options({ ...at(victim), maxTaskRetries: 2 }).create();
    const refs = [once.make(journal.file, 'once', 1), mortal.make(journal.file, 'mortal', 2)];
    await ready(refs);
    await victim.kill();
    expect(await failureOf(refs[0] as never)).toMatchObject({ name: 'ObjectLostError' });
    expect(await failureOf(refs[1] as never)).toMatchObject({
      name: 'ObjectReconstructionFailedError',
      cause: { name: 'ActorDiedError' },
    });
    expect(journal.lines().toSorted()).toEqual(['mortal', 'once']);
  });
});

describe('the result of an actor whose last handle was dropped', () => {
  /** Of its handle nothing is left but what the result was made by. */
  const makeOnce = async (victim: TestNode, file: string, maxRestarts: number) => {
    const options = { ...at(victim), maxRestarts, maxTaskRetries: -1 };
    const maker = MakerActor.options(options).create();
    const ref = maker.make(file, 'made', 7);
    await ready([ref]);
    return { ref, actorId: actorIdOf(maker) };
  };
  const endsOutOfScope = async (actorId: string) => {
    const info = (await listActors()).find((actor) => actor.actorId === actorId);
    return info?.state === 'dead' && info.deathCause?.kind === 'out-of-scope';
  };
  const outOfScope = (actorId: string) =>
    waitFor(
      async () => {
        await collectGarbage();
        return endsOutOfScope(actorId);
      },
      { describe: `${actorId} goes out of scope` },
    );

  /** The actor has gone out of scope, and then the node with the result has died. */
  const loseResult = async (maxRestarts: number) => {
    const journal = journals.create();
    const victim = await victims.add();
    const { ref, actorId } = await makeOnce(victim, journal.file, maxRestarts);
    await outOfScope(actorId);
    await victim.kill();
    return { journal, ref, actorId };
  };

  it('is made again by that actor, which is started for it and ends again', async () => {
    const { journal, ref, actorId } = await loseResult(2);
    expect((await get(ref))[0]).toBe(7);
    expect(journal.count('made')).toBe(2);
    await outOfScope(actorId);
  });

  it('is lost when it has no restarts left', async () => {
    const { journal, ref } = await loseResult(0);
    expect(await failureOf(get(ref))).toMatchObject({
      name: 'ObjectReconstructionFailedError',
      cause: { name: 'ActorDiedError', deathCause: { kind: 'out-of-scope' } },
    });
    expect(journal.count('made')).toBe(1);
  });
});

describe('items of a generator', () => {
  it('are made again by one more run of it, only those that were lost', async () => {
    const journal = journals.create();
    const victim = await victims.add();
    const stream = makeItems.options(at(victim))(journal.file, 'run', 5);
    const items: ObjectRef<Float32Array>[] = [];
    for await (const item of stream.refs()) items.push(item as unknown as ObjectRef<Float32Array>);
    expect(await firstsOf(items.slice(1, 2))).toEqual([1]);
    await victim.kill();
    expect(await firstsOf(items)).toEqual([0, 1, 2, 3, 4]);
    expect(journal.count('run')).toBe(2);
  });

  it('of an actor, too', async () => {
    const journal = journals.create();
    const victim = await victims.add();
    const options = { ...at(victim), maxRestarts: 1, maxTaskRetries: -1 };
    const maker = MakerActor.options(options).create();
    const stream = maker.items(journal.file, 'run', 3);
    const items: ObjectRef<Float32Array>[] = [];
    for await (const item of stream.refs()) items.push(item as unknown as ObjectRef<Float32Array>);
    await victim.kill();
    expect(await firstsOf(items)).toEqual([0, 1, 2]);
    expect(journal.count('run')).toBe(2);
    // Its handle was kept until now.
    expect(await maker.pid()).toBeGreaterThan(0);
  });
});

describe('a borrower', () => {
  it('on a third node gets the value that the owner has made again', async () => {
    const journal = journals.create();
    const victim = await victims.add();
    const ref = make.options(at(victim))(journal.file, 'made', 8);
    await ready([ref]);
    const [third] = victims.others(ref).filter(({ nodeId }) => nodeId !== victim.nodeId);
    const borrower = MakerActor.options(at(third as TestNode)).create();
    await borrower.hold({ ref });
    await victim.kill();
    expect(await borrower.readHeld()).toEqual([8]);
    expect((await get(ref))[0]).toBe(8);
    expect(journal.count('made')).toBe(2);
  });

  it('whose task needs a lost value of another owner has that made again', async () => {
    const journal = journals.create();
    const [owner, victim] = [MakerActor.create(), await victims.add()];
    const { ref } = await owner.submit(journal.file, 'made', victim.nodeId);
    await ready([ref]);
    const after = next.options(at(victim))(journal.file, 'after', ref);
    await ready([after]);
    await victim.kill();
    expect(await firstsOf([after, ref])).toEqual([6, 5]);
    expect([journal.count('made'), journal.count('after')]).toEqual([2, 2]);
  });

  it('of what a dead process has put, or made, learns it at once', async () => {
    const journal = journals.create();
    const [owner, victim] = [MakerActor.create(), await victims.add()];
    const { ref: fromPut } = await owner.putHere(1);
    const { ref: fromTask } = await owner.submit(journal.file, 'made', victim.nodeId);
    await ready([fromPut, fromTask]);
    process.kill(await owner.pid(), 'SIGKILL');
    expect(await failureOf(owner.pid())).toMatchObject({ name: 'ActorDiedError' });
    for (const ref of [fromPut, fromTask])
      await expect.poll(() => outcomeOf(ref)).toBe('OwnerDiedError');
    const putter = MakerActor.options(at(victim)).create();
    const { ref } = await putter.putHere(2);
    await ready([ref]);
    await victim.kill();
    await expect.poll(() => outcomeOf(ref)).toBe('OwnerDiedError');
    expect(journal.count('made')).toBe(1);
  });
});

describe('durable objects', () => {
  it('survive their creator, and are lost with their node', async () => {
    const victim = await victims.add();
    const creator = MakerActor.options(at(victim)).create();
    const [{ ref }, { ref: unread }] = [await creator.putDurable(3), await creator.putDurable(4)];
    await ready([ref, unread]);
    process.kill(await creator.pid(), 'SIGKILL');
    expect(await failureOf(creator.pid())).toMatchObject({ name: 'ActorDiedError' });
    expect((await get(ref))[0]).toBe(3);
    const holder = MakerActor.options(at(victims.cluster.nodes[0] as TestNode)).create();
    await holder.hold({ ref: unread });
    await victim.kill();
    expect(await failureOf(unread)).toMatchObject({ name: 'ObjectLostError' });
    expect(await failureOf(holder.readHeld())).toMatchObject({
      cause: { name: 'ObjectLostError' },
    });
  });
});

describe('lineage', () => {
  it('beyond its limit is dropped, oldest first, and said to be when it is needed', async () => {
    const journal = journals.create();
    const victim = await victims.add();
    const then = next.options(at(victim));
    const length = 100_000; // 400 000 bytes: two of them fit.
    const refs: ObjectRef<Float32Array>[] = [];
    for (const value of [1, 2, 3]) {
      refs.push(then(journal.file, `${value}`, new Float32Array(length).fill(value)));
      await ready(refs);
    }
    const { lineage } = coreOf(put(0));
    expect(lineage.statistics().bytes).toBeLessThanOrEqual(1_000_000);
    await victim.kill();
    const failure = await failureOf(get(refs[0] as never));
    expect(failure).toMatchObject({ name: 'ObjectReconstructionFailedError' });
    expect(failure.message).toMatch(/exceeded 1000000 bytes/);
    expect(await firstsOf(refs.slice(1))).toEqual([3, 4]);
    expect(journal.lines().filter((line) => line === '1')).toHaveLength(1);
  });
});

describe('a program whose own node dies', () => {
  it('reads what others have, has made again what is made by tasks, and has lost what it put', async () => {
    const journal = journals.create();
    const mine = put(new Float32Array(LENGTH).fill(1));
    await get(mine);
    const own = victims.own(mine);
    const other = await victims.add();
    const [here, there] = [own, other].map(({ nodeId }) =>
      make.options(at({ nodeId }))(journal.file, nodeId === own.nodeId ? 'here' : 'there', 2),
    ) as [ObjectRef<Float32Array>, ObjectRef<Float32Array>];
    await ready([here, there]);
    expect((await get(here))[0]).toBe(2);
    await own.kill();
    expect(await failureOf(get(mine))).toMatchObject({ name: 'ObjectLostError' });
    expect(await firstsOf([here, there])).toEqual([2, 2]);
    expect(await firstsOf([next(journal.file, 'next', there)])).toEqual([3]);
    expect([journal.count('here'), journal.count('there')]).toEqual([2, 1]);
  });
});
