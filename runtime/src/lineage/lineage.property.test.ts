import fc from 'fast-check';
import { expect, it } from 'vitest';
import { assert } from '../assert.ts';
import { createIdMint, type BlobId, type ProcessId } from '../ids.ts';
import {
  isObjectRef,
  ObjectRef,
  REF_STATE,
  type AnyObjectRef,
  type RefOwnerRuntime,
} from '../objects/object-ref.ts';
import { StoredValue } from '../objects/stored-value.ts';
import { Lineage, type MakingCall } from './lineage.ts';
import type { Attempt, Maker } from './recipe.ts';

let seed = 1;
const mint = createIdMint((bytes) => {
  for (let index = 0; index < bytes.length; index += 1)
    bytes[index] = (seed = (seed * 48_271) % 0x7fffffff) & 255;
});

const tick = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** A task that is answered when the test says so. */
class FakeCall extends ObjectRef<unknown> implements MakingCall, Attempt {
  readonly world: World;
  readonly index: number;
  readonly values: unknown[];
  retriesLeft: number;

  constructor(world: World, index: number, values: unknown[], retriesLeft: number) {
    super(world.runtime);
    this.world = world;
    this.index = index;
    this.values = values;
    this.retriesLeft = retriesLeft;
    world.running.push(this);
  }

  maker(): Maker {
    const { world, index } = this;
    return {
      name: `task ${index}`,
      option: 'maxRetries',
      maxRetries: world.maxRetries,
      again: (values, _pins, retriesLeft) => new FakeCall(world, index, values, retriesLeft),
    };
  }

  /** Every argument is there. */
  get mayRun(): boolean {
    return this.values.every((value) => !isObjectRef(value) || value.state !== REF_STATE.pending);
  }

  run(): void {
    const failed = this.values.filter(isObjectRef).find(({ state }) => state === REF_STATE.failed);
    if (failed !== undefined) {
      this.reject(failed.content);
      return;
    }
    this.world.runs[this.index] = (this.world.runs[this.index] ?? 0) + 1;
    const blob = { blobId: mint('blob') as BlobId, sizeBytes: 1, slot: undefined };
    const agent = { processId: mint('process') as ProcessId, machineId: 'm' };
    const stored = new StoredValue({ ...blob, agent }, undefined, [], undefined);
    this.world.lineage.keep(stored, this);
    this.resolve(stored);
  }

  refs(): AsyncIterable<AnyObjectRef> {
    throw new Error('no generator');
  }
}

/** Tasks, each of which takes results of some before it. */
class World {
  readonly maxRetries: number;
  readonly running: FakeCall[] = [];
  readonly runs: number[] = [];
  readonly lineage: Lineage;
  readonly runtime: RefOwnerRuntime;

  constructor(maxRetries: number) {
    this.maxRetries = maxRetries;
    this.runtime = {
      mintObjectId: () => mint('object'),
      noteStored: (ref: AnyObjectRef, stored: StoredValue) => this.lineage.placed(ref, stored),
    } as unknown as RefOwnerRuntime;
    this.lineage = new Lineage(
      {
        runtime: this.runtime,
        exportRef: () => undefined,
        owned: { drop: (ref) => ref.discard() },
        values: { drop: () => undefined },
      },
      2 ** 30,
    );
  }

  /** As the exchange does it. */
  lose(ref: AnyObjectRef): void {
    if (ref.state !== REF_STATE.ready) return;
    const failure = this.lineage.lost(ref, 'a test');
    if (failure === undefined) ref.reopen();
    else ref.lose(failure);
  }

  async settle(): Promise<void> {
    for (;;) {
      await tick();
      const next = this.running.findIndex(({ mayRun }) => mayRun);
      if (next === -1) break;
      this.running.splice(next, 1)[0]?.run();
    }
    assert(this.running.length === 0, 'every call has ended');
    assert(this.lineage.statistics().remakes === 0, 'nothing is being made again any more');
  }
}

/** For each task the ones before it that it needs. */
const graph = fc
  .integer({ min: 1, max: 8 })
  .chain((size) =>
    fc.tuple(
      ...Array.from({ length: size }, (_, index) =>
        index === 0
          ? fc.constant<number[]>([])
          : fc.uniqueArray(fc.nat(index - 1), { maxLength: 3 }),
      ),
    ),
  );

const rounds = fc.array(fc.uniqueArray(fc.nat(7), { minLength: 1 }), { maxLength: 4 });

it('makes what is lost again once, with what it needs, and no more than retries allow', async () => {
  await fc.assert(
    fc.asyncProperty(
      graph,
      rounds,
      fc.uniqueArray(fc.nat(7)),
      fc.integer({ min: -1, max: 3 }),
      async (needs, losses, dropped, maxRetries) => {
        const world = new World(maxRetries);
        const refs: FakeCall[] = [];
        needs.forEach((before, index) => {
          const values = before.map((other) => refs[other]);
          refs.push(new FakeCall(world, index, values, maxRetries));
        });
        await world.settle();
        for (const index of dropped) refs[index]?.discard();
        for (const lost of losses) {
          const before = [...world.runs];
          for (const index of lost) if (refs[index] !== undefined) world.lose(refs[index]);
          await world.settle();
          world.runs.forEach((runs, index) => {
            expect(runs - (before[index] ?? 0)).toBeLessThanOrEqual(1);
            expect(runs).toBeLessThanOrEqual(maxRetries < 0 ? Infinity : maxRetries + 1);
          });
        }
        const kept = refs.filter(({ index }) => !dropped.includes(index));
        const ends = maxRetries < 0 ? [REF_STATE.ready] : [REF_STATE.ready, REF_STATE.failed];
        for (const { state } of kept) expect(ends).toContain(state);
        const lost = kept.filter(({ index }) => maxRetries === 0 && losses.flat().includes(index));
        for (const { content } of lost) expect(content).toMatchObject({ name: 'ObjectLostError' });
      },
    ),
    { numRuns: 200 },
  );
});

it('makes what was freed again for nobody', async () => {
  const world = new World(-1);
  const before = new FakeCall(world, 0, [], -1);
  const after = new FakeCall(world, 1, [before], -1);
  await world.settle();
  world.lineage.freed(before);
  before.discard();
  world.lose(after);
  await world.settle();
  expect(after.content).toMatchObject({
    name: 'ObjectReconstructionFailedError',
    cause: { name: 'ObjectFreedError' },
  });
  expect(world.runs).toEqual([1, 1]);
});

it('makes a chain of 10 000 again whose refs are all gone, without depth', async () => {
  const world = new World(1);
  let last = new FakeCall(world, 0, [], 1);
  world.running.pop()?.run();
  for (let index = 1; index < 10_000; index += 1) {
    const former: FakeCall = last;
    last = new FakeCall(world, index, [former], 1);
    world.running.pop()?.run();
    former.discard();
  }
  world.lose(last);
  await tick();
  expect(world.running.length).toBe(10_000);
  for (let call = world.running.pop(); call !== undefined; call = world.running.pop()) call.run();
  expect(last.state).toBe(REF_STATE.ready);
  expect(world.runs.every((runs) => runs === 2)).toBe(true);
});
