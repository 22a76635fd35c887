import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { collectGarbage } from '@manta/runtime/core/garbage';
import { waitFor } from '@manta/runtime/testing/wait-for';
import { free, get, init, kill, type ObjectRef, put, shutdown, wait } from '@manta/sdk';
import { HolderActor } from './fixtures/objects.ts';
import { coreOf } from './testing/core.ts';

const LENGTH = 1_000_000;
const MIB = 1024 * 1024;

beforeAll(async () => {
  await init({ cpus: 4, logToDriver: false });
});
afterAll(() => shutdown());

describe('large values', () => {
  it('are never copied after their put on the way from the driver over an actor to another', async () => {
    const [a, b] = [HolderActor.create(), HolderActor.create()];
    const ref = put(new Float32Array(LENGTH).fill(2));
    expect(await a.sumElsewhere({ ref }, b)).toBe(2 * LENGTH);
    expect(await b.sum(ref)).toBe(2 * LENGTH);
    expect((await get(ref)).length).toBe(LENGTH);
    for (const actor of [a, b]) {
      const statistics = await actor.storeStatistics();
      expect(statistics?.bytesCopiedIn ?? 0).toBe(0);
      expect(statistics?.bytesCopiedOut ?? 0).toBe(0);
    }
    const own = coreOf(ref).store.statistics();
    expect(own?.bytesCopiedOut).toBe(0);
    expect(own?.bytesCopiedIn).toBeLessThan(4 * LENGTH + 4096);
  });

  it('come back as results and as items of streams', async () => {
    const actor = HolderActor.create();
    const made = await actor.make(LENGTH, 3);
    expect([made.length, made[LENGTH - 1]]).toEqual([LENGTH, 3]);
    let item = 0;
    for await (const numbers of actor.items(5, LENGTH)) {
      expect([numbers.length, numbers[0]]).toEqual([LENGTH, item]);
      item += 1;
    }
    expect(item).toBe(5);
    expect(await actor.sum(actor.make(LENGTH, 1))).toBe(LENGTH);
  });

  it('are private to each reader, small ones too', async () => {
    const actor = HolderActor.create();
    for (const length of [LENGTH, 1_000, 10]) {
      const ref = put(new Float32Array(length).fill(1));
      const first = await get(ref);
      first.fill(5);
      expect(await actor.overwrite(ref, 7)).toBe(7);
      expect((await get(ref))[0]).toBe(1);
      expect(await actor.sum(ref)).toBe(length);
      expect(first[0]).toBe(5);
    }
  });

  it('that are put and read in one long turn are let go of meanwhile', async () => {
    const numbers = new Float32Array(16 * MIB);
    const bytes = numbers.byteLength;
    let most = 0;
    for (let time = 0; time < 20; time += 1) {
      const ref = put(numbers);
      expect((await get(ref)).byteLength).toBe(bytes);
      most = Math.max(most, coreOf(ref).store.heldBytes);
    }
    expect(most).toBeLessThan(512 * MIB + 2 * bytes);
  });

  it('of arguments that only one call has are freed with it', async () => {
    const actor = HolderActor.create();
    await actor.pid();
    await collectGarbage();
    const { store } = coreOf(put(0));
    const before = store.statistics()?.liveBytes ?? 0;
    for (let call = 1; call <= 5; call += 1) {
      expect(await actor.sum(new Float32Array(LENGTH).fill(call))).toBe(call * LENGTH);
      expect(store.statistics()?.liveBytes).toBeLessThanOrEqual(before);
    }
  });
});

describe('references', () => {
  it('keep objects over several hops, in the state of actors, and free them in the end', async () => {
    const [a, b, c] = [HolderActor.create(), HolderActor.create(), HolderActor.create()];
    let ref: ObjectRef<Float32Array> | undefined = put(new Float32Array(LENGTH).fill(1));
    const core = coreOf(ref);
    const id = ref.id;
    await a.hold({ ref });
    ref = undefined;
    await collectGarbage();
    const fromA = await a.giveHeld();
    expect(fromA?.ref.id).toBe(id);
    // b gets it from a value that a gives, c from b: neither got it from its owner.
    await b.hold(a.giveHeld() as never);
    await c.hold(b.giveHeld() as never);
    await a.drop();
    await b.drop();
    const [read] = await c.readHeld();
    expect((read as Float32Array)[LENGTH - 1]).toBe(1);
    expect(core.objects.table.entries().some((entry) => entry.id === id)).toBe(true);
    await c.drop();
    (fromA as { ref: unknown }).ref = undefined;
    await waitFor(
      async () => {
        await collectGarbage();
        for (const actor of [a, b, c]) await actor.collect();
        return !core.objects.table.entries().some((entry) => entry.id === id);
      },
      { describe: 'the object is known to nobody' },
    );
  });

  it('of 10 000 objects in one value are read and fetched in batches', async () => {
    const actor = HolderActor.create();
    const refs = await actor.putMany(10_000);
    expect(refs.length).toBe(10_000);
    const values = await get(refs);
    expect(values.every((value) => value === 1)).toBe(true);
    const { ready } = await wait(refs.slice(0, 1_000), { numReturns: 1_000 });
    expect(ready.length).toBe(1_000);
  });

  it('of dead owners fail at once, also while their value is waited for', async () => {
    const [owner, reader] = [HolderActor.create(), HolderActor.create()];
    const { ref } = await owner.putHere(LENGTH, 1);
    await reader.hold({ ref });
    expect(await reader.waitHeld(false)).toBe(1);
    process.kill(await owner.pid(), 'SIGKILL');
    await expect(get(ref)).rejects.toMatchObject({ name: 'OwnerDiedError' });
    await expect(reader.readHeld()).rejects.toMatchObject({ cause: { name: 'OwnerDiedError' } });
  });

  it('of freed objects say so; views that exist stay', async () => {
    const actor = HolderActor.create();
    const ref = put(new Float32Array(LENGTH).fill(1));
    const view = await get(ref);
    await actor.keepValue(ref);
    await free([ref]);
    await expect(get(ref)).rejects.toMatchObject({ name: 'ObjectFreedError' });
    put(new Float32Array(LENGTH).fill(9));
    expect([view[0], view[LENGTH - 1]]).toEqual([1, 1]);
    expect(await actor.keptSum()).toBe(LENGTH);
  });

  it('of others that were disposed of stay as long as a value here holds them', async () => {
    const actor = HolderActor.create();
    const { ref } = await actor.putHere(LENGTH, 3);
    const nest = put({ ref });
    ref[Symbol.dispose]();
    await actor.collect();
    const { ref: held } = await nest;
    expect((await get(held))[LENGTH - 1]).toBe(3);
    expect(await actor.sum(held)).toBe(3 * LENGTH);
  });

  it('that were disposed of leave the object to its borrowers', async () => {
    const actor = HolderActor.create();
    const ref = put(new Float32Array(LENGTH).fill(4));
    await actor.hold({ ref });
    ref[Symbol.dispose]();
    await expect(get(ref)).rejects.toMatchObject({ name: 'ObjectFreedError' });
    const [read] = await actor.readHeld();
    expect((read as Float32Array)[0]).toBe(4);
    await kill(actor);
  });
});
