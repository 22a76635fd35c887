import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { collectGarbage } from '@manta/runtime/core/garbage';
import { waitFor } from '@manta/runtime/testing/wait-for';
import { free, init, type ObjectRef, put, shutdown } from '@manta/sdk';
import { double, sumAfter, sumAtSecondAttempt, SummerActor } from './fixtures/arguments.ts';
import { GateActor } from './fixtures/gates.ts';
import { coreOf } from './testing/core.ts';
import { Journals } from './testing/journal.ts';

/** In the heap of the driver, and in the store of its node. */
const LENGTHS = [10, 100_000];
const journals = new Journals();

beforeAll(async () => {
  await init({ cpus: 4, logToDriver: false });
});
afterAll(async () => {
  journals.remove();
  await shutdown();
});

/** It can be opened while calls wait in it. */
const createGate = () => GateActor.options({ maxConcurrency: 4 }).create();

function ones(length: number): ObjectRef<Float32Array> {
  return put(new Float32Array(length).fill(1));
}

/** What was disposed of is gone once no call needs it any more. */
async function expectGone(ref: ObjectRef<unknown>, timeoutMs?: number): Promise<void> {
  await expect(ref).rejects.toMatchObject({ name: 'ObjectFreedError' });
  const { store } = coreOf(ref);
  await waitFor(() => (store.statistics()?.liveSlots ?? 0) === 0, {
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
    describe: 'an empty store',
  });
}

describe.each(LENGTHS)('refs of %d numbers that are disposed of right after a call', (length) => {
  it('reach a task that waits for something else', async () => {
    const gate = createGate();
    const ref = ones(length);
    const sum = sumAfter(gate.pass(), ref);
    ref[Symbol.dispose]();
    await gate.open();
    expect(await sum).toBe(length);
    await expectGone(ref);
  });

  it('reach a task that is queued, at once and in each of its attempts', async () => {
    const journal = journals.create();
    const ref = ones(length);
    const sum = sumAtSecondAttempt(journal.file, ref);
    ref[Symbol.dispose]();
    expect(await sum).toBe(length);
    expect(journal.count('run')).toBe(2);
    await expectGone(ref);
  });

  it('reach an actor that is not there yet, and one that waits for something else', async () => {
    const [actor, gate] = [SummerActor.create(), createGate()];
    const ref = ones(length);
    const sums = [actor.sum(ref), actor.sumAfter(gate.pass(), ref)];
    ref[Symbol.dispose]();
    await gate.open();
    expect(await Promise.all(sums)).toEqual([length, length]);
    await expectGone(ref);
  });

  it('reach an actor in each attempt of the call', async () => {
    const journal = journals.create();
    const actor = SummerActor.options({ maxRestarts: 1, maxTaskRetries: 1 }).create();
    const ref = ones(length);
    const sum = actor.sumAtSecondAttempt(journal.file, ref);
    ref[Symbol.dispose]();
    expect(await sum).toBe(length);
    expect(journal.count('run')).toBe(2);
    await expectGone(ref);
  });

  it('reach the constructor of an actor', async () => {
    const ref = ones(length);
    const actor = SummerActor.create(ref);
    ref[Symbol.dispose]();
    expect(await actor.sum(new Float32Array([1]))).toBe(length + 1);
    // Its process has the ref as well, until it is quiet and collects garbage.
    await expectGone(ref, 30_000);
  });

  it('reach the end of a chain, also where their values are still to come', async () => {
    const ref = ones(length);
    const twice = double(ref);
    const fourTimes = double(twice);
    const sum = SummerActor.create().sum(fourTimes);
    for (const each of [ref, twice, fourTimes]) each[Symbol.dispose]();
    expect(await sum).toBe(4 * length);
    for (const each of [ref, twice, fourTimes]) await expectGone(each);
  });

  it('reach their calls when another process owns the object', async () => {
    const owner = SummerActor.create();
    const gate = createGate();
    const { ref } = await owner.putHere(length, 3);
    const sums = [sumAfter(gate.pass(), ref), SummerActor.create().sum(ref)];
    ref[Symbol.dispose]();
    await gate.open();
    expect(await Promise.all(sums)).toEqual([3 * length, 3 * length]);
    // The value that it came in holds it, too.
    const { borrowed } = coreOf(ref).objects;
    const isHeld = (): boolean => borrowed.entries().some(({ id }) => id === ref.id);
    await waitFor(
      async () => {
        await collectGarbage();
        return !isHeld();
      },
      { describe: 'the ref is given back' },
    );
    await expect(ref).rejects.toMatchObject({ name: 'ObjectFreedError' });
  });

  it('are given back after the call, though what it made remembers its context', async () => {
    const actor = SummerActor.options({ maxConcurrency: 2 }).create();
    // Calls are followed over awaits once one has asked for its context.
    await actor.watch({ ref: ones(1) });
    const ref = ones(length);
    const { table } = coreOf(ref).objects;
    const isKnown = (): boolean => table.entries().some(({ id }) => id === ref.id);
    await actor.watch({ ref });
    expect(isKnown()).toBe(true);
    ref[Symbol.dispose]();
    await waitFor(
      async () => {
        await actor.collect();
        return !isKnown();
      },
      { describe: 'the actor gives the ref back' },
    );
    await expectGone(ref);
  });

  it('reach all calls of a block, as variables of `using`', async () => {
    const submit = (): ObjectRef<number> => {
      using ref = ones(length);
      using twice = double(ref);
      return sumAfter(double(twice), ref);
    };
    expect(await submit()).toBe(length);
  });

  it('do not reach their calls when the value is freed', async () => {
    const gate = createGate();
    const ref = ones(length);
    const sums = [sumAfter(gate.pass(), ref), SummerActor.create().sumAfter(gate.pass(), ref)];
    ref[Symbol.dispose]();
    await free([ref]);
    await gate.open();
    for (const sum of sums) await expect(sum).rejects.toMatchObject({ name: 'ObjectFreedError' });
    await expectGone(ref);
  });
});
