import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { waitFor } from '@manta/runtime/testing/wait-for';
import { explain, free, get, put, wait, type ObjectRef } from '@manta/sdk';
import type { TestNode } from '@manta/sdk/testing';
import {
  first,
  LENGTH,
  make,
  MakerActor,
  makeSlowly,
  next,
  nextSlowly,
} from './fixtures/lineage.ts';
import { coreOf } from './testing/core.ts';
import { failureOf, Journals } from './testing/journal.ts';
import { at, firstsOf, ready, Victims } from './testing/victims.ts';

const journals = new Journals();
let victims: Victims;

beforeAll(async () => {
  victims = await Victims.start();
});
afterAll(async () => {
  await victims[Symbol.asyncDispose]();
  journals.remove();
});

describe('the result of a task', () => {
  it('is made again when the only node that has it dies, by exactly one more run', async () => {
    const journal = journals.create();
    const victim = await victims.add();
    const ref = make.options(at(victim))(journal.file, 'made', 3);
    await ready([ref]);
    await victim.kill();
    const values = await Promise.all([get(ref), get(ref), get(ref)]);
    const found = values.map((numbers) => [numbers.length, numbers[0]]);
    expect(found).toEqual(Array(3).fill([LENGTH, 3]));
    expect(journal.count('made')).toBe(2);
  });

  it('is made again with all that it was made from: a chain of five', async () => {
    const journal = journals.create();
    const victim = await victims.add();
    const [start, then] = [make.options(at(victim)), next.options(at(victim))];
    const chain = [start(journal.file, 'link 0', 1)];
    for (let link = 1; link < 5; link += 1)
      chain.push(then(journal.file, `link ${link}`, chain[link - 1] as never));
    await ready(chain);
    await victim.kill();
    expect(await firstsOf(chain)).toEqual([1, 2, 3, 4, 5]);
    for (let link = 0; link < 5; link += 1) expect(journal.count(`link ${link}`)).toBe(2);
  });

  it('is made again when nobody holds what it was made from any more', async () => {
    const journal = journals.create();
    const victim = await victims.add();
    const [start, then] = [make.options(at(victim)), next.options(at(victim))];
    let last = start(journal.file, 'link 0', 1);
    for (let link = 1; link < 5; link += 1) {
      const former = last;
      last = then(journal.file, `link ${link}`, former);
      await ready([last]);
      former[Symbol.dispose]();
    }
    await victim.kill();
    expect((await get(last))[0]).toBe(5);
    for (let link = 0; link < 5; link += 1) expect(journal.count(`link ${link}`)).toBe(2);
    expect(coreOf(last).lineage.statistics().remakes).toBe(0);
  });

  it('is made again also when the node of the second attempt dies, and said to be', async () => {
    const journal = journals.create();
    const mortal = { labels: { mortal: 'yes' } };
    const nodes = await Promise.all(
      [1, 2, 3].map(() => victims.cluster.addNode({ cpus: 2, ...mortal })),
    );
    const nodeOfRun = (run: number) =>
      nodes.find(({ nodeId }) => nodeId === journal.lines()[run]) as TestNode;
    const ref = makeSlowly.options(mortal)(journal.file, 700);
    await ready([ref]);
    await nodeOfRun(0).kill();
    await waitFor(() => journal.lines().length === 2, { describe: 'the second attempt' });
    const answer = await explain(ref);
    expect(answer.reason).toContain('It is being made again: attempt 2 of 4');
    expect(answer.reason).toContain(`because node ${nodeOfRun(0).nodeId} died`);
    await nodeOfRun(1).kill();
    expect((await get(ref))[0]).toBe(7);
    expect(new Set(journal.lines()).size).toBe(3);
    expect(journal.lines().length).toBe(3);
  });

  it('is made again with all that it was made from, also when the second attempt dies half-way', async () => {
    const journal = journals.create();
    // Only the nodes of this test are fit for its tasks, so each attempt runs where the test says.
    const ours = { labels: { chain: 'of five' } };
    const addNode = () => victims.cluster.addNode({ cpus: 2, ...ours });
    const victim = await addNode();
    const chain = [make.options(ours)(journal.file, 'link 0', 1)];
    const then = nextSlowly.options(ours);
    for (let link = 1; link < 5; link += 1)
      chain.push(then(journal.file, `link ${link}`, chain[link - 1] as never, 500));
    await ready(chain);
    const second = await addNode();
    await victim.kill();
    // Of the last alone, so that no copy of what it is made from comes here.
    const last = get(chain[4] as ObjectRef<Float32Array>);
    await waitFor(() => journal.count('link 2') === 2, { describe: 'the second attempt' });
    await addNode();
    await second.kill();
    expect((await last)[0]).toBe(5);
    expect(await firstsOf(chain)).toEqual([1, 2, 3, 4, 5]);
    expect([0, 1, 2, 3, 4].map((link) => journal.count(`link ${link}`))).toEqual([3, 3, 3, 2, 2]);
  });

  it('is given up at once when the task may not run again', async () => {
    const journal = journals.create();
    const victim = await victims.add();
    const { nodeId } = victim;
    const ref = make.options({ scheduling: { nodeId }, maxRetries: 0 })(journal.file, 'once', 1);
    await ready([ref]);
    await victim.kill();
    const failure = await failureOf(get(ref));
    expect(failure).toMatchObject({ name: 'ObjectLostError' });
    expect(failure.message).toContain(`node ${nodeId} died`);
    expect(journal.count('once')).toBe(1);
  });

  it('is read from another node that has a copy, without another run', async () => {
    const journal = journals.create();
    const victim = await victims.add();
    const ref = make.options(at(victim))(journal.file, 'made', 9);
    await ready([ref]);
    const [other] = victims.others(ref).filter(({ nodeId }) => nodeId !== victim.nodeId);
    const reader = MakerActor.options(at(other as never)).create();
    expect(await reader.read(ref)).toBe(9);
    await victim.kill();
    expect((await get(ref))[0]).toBe(9);
    expect(journal.count('made')).toBe(1);
  });

  it('that was freed is not made again, nor is what was made from it', async () => {
    const journal = journals.create();
    const victim = await victims.add();
    const before = make.options(at(victim))(journal.file, 'before', 1);
    const after = next.options(at(victim))(journal.file, 'after', before);
    await ready([after]);
    await free([before]);
    await victim.kill();
    expect(await failureOf(get(before))).toMatchObject({ name: 'ObjectFreedError' });
    expect(await failureOf(get(after))).toMatchObject({
      name: 'ObjectReconstructionFailedError',
      cause: { name: 'ObjectFreedError' },
    });
    expect([journal.count('before'), journal.count('after')]).toEqual([1, 1]);
  });

  it('is made again for wait(), which counts it as ready only then', async () => {
    const journal = journals.create();
    const victim = await victims.add();
    const refs = [1, 2, 3].map((value) =>
      make.options(at(victim))(journal.file, `made ${value}`, value),
    );
    await ready(refs);
    await victim.kill();
    const { ready: found } = await wait(refs, { numReturns: 3, timeoutMs: 20_000 });
    expect(await firstsOf(found)).toEqual([1, 2, 3]);
    for (const value of [1, 2, 3]) expect(journal.count(`made ${value}`)).toBe(2);
  });
});

describe('arguments', () => {
  it('that are lost before a task could read them are made again, and the task runs once', async () => {
    const journal = journals.create();
    const victim = await victims.add();
    const ref = make.options(at(victim))(journal.file, 'made', 4);
    await ready([ref]);
    victim.pause();
    const value = first.options({ maxRetries: 0 })(journal.file, 'read', ref, 0);
    const reader = MakerActor.create();
    const read = reader.read(ref);
    await victim.kill();
    expect(await get([value, read])).toEqual([4, 4]);
    expect([journal.count('made'), journal.count('read')]).toEqual([2, 1]);
  });

  it('that were put, or given by value, are kept as long as the result may have to be made again', async () => {
    const journal = journals.create();
    const victim = await victims.add();
    const then = next.options(at(victim));
    const given = then(journal.file, 'given', new Float32Array(LENGTH).fill(1));
    const fromPut = then(journal.file, 'put', put(new Float32Array(LENGTH).fill(2)));
    await ready([given, fromPut]);
    await victim.kill();
    expect(await firstsOf([given, fromPut])).toEqual([2, 3]);
    expect([journal.count('given'), journal.count('put')]).toEqual([2, 2]);
  });
});
