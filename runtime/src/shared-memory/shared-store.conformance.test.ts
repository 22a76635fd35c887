import { randomBytes } from 'node:crypto';
import { readdirSync, statSync } from 'node:fs';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { collectGarbage } from '../core/garbage.ts';
import { ProtocolError } from '../errors/errors.ts';
import type { SlotAddress } from '../objects/blob.ts';
import { STORE_KINDS, TestStore } from '../testing/test-store.ts';
import type { SharedStore } from './shared-store.ts';
import type { StoredBytes } from './stored-bytes.ts';

const MIB = 1024 * 1024;
const filled = (fill: number, sizeBytes: number): Uint8Array =>
  new Uint8Array(sizeBytes).fill(fill);

const allOf = (opened: StoredBytes | undefined): Uint8Array =>
  new Uint8Array(opened?.bufferOf(0, opened.sizeBytes) ?? new ArrayBuffer(0));

describe.each(STORE_KINDS)('a store ($name)', (kind) => {
  const { access } = kind;
  const stores: TestStore[] = [];
  const newStore = (limitBytes = 64 * MIB): TestStore => {
    const store = new TestStore(kind, limitBytes);
    stores.push(store);
    return store;
  };
  afterEach(async () => {
    for (const store of stores.splice(0)) await store.close();
  });

  const put = (store: SharedStore, fill: number, sizeBytes: number): SlotAddress => {
    const slot = store.write([filled(fill, sizeBytes)], sizeBytes);
    if (slot === undefined) throw new Error('no room');
    return slot;
  };
  const fillsOf = (store: SharedStore, slot: SlotAddress, sizeBytes: number): number[] => [
    ...new Set(allOf(store.open(slot, sizeBytes))),
  ];

  it('gives other processes the bytes that were written, part by part', async () => {
    const store = newStore();
    const producer = store.attach();
    const slot = producer.write([filled(1, 70_000), filled(2, 1), filled(3, 70_000)], 140_001);
    const reader = store.attach();
    const opened = slot && reader.open(slot, 140_001);
    expect(opened?.sizeBytes).toBe(140_001);
    expect(
      Buffer.compare(
        allOf(opened),
        Buffer.concat([filled(1, 70_000), filled(2, 1), filled(3, 70_000)]),
      ),
    ).toBe(0);
    const other = await store.startProcess();
    expect(slot && (await other.open('it', slot, 140_001))).toBe(true);
    expect(await other.read('it')).toEqual([1, 2, 3]);
    const back = await other.write(9, 500_000);
    expect(back && fillsOf(reader, back, 500_000)).toEqual([9]);
    expect(producer.statistics()).toMatchObject({ bytesCopiedIn: 140_001, liveSlots: 1 });
    expect(reader.statistics().bytesCopiedOut).toBe(access === 'mapped' ? 0 : 640_001);
  });

  it('gives exact ArrayBuffers, whose changes nobody else sees', () => {
    const store = newStore();
    const [producer, reader] = [store.attach(), store.attach()];
    const slot = put(producer, 5, 300_000);
    const opened = reader.open(slot, 300_000);
    const own = opened?.bufferOf(16_000, 8_000);
    expect(allOf(opened).buffer.byteLength).toBe(300_000);
    expect(opened?.bytes.length).toBeGreaterThanOrEqual(16_384);
    expect(own?.byteLength).toBe(8_000);
    new Uint8Array(own as ArrayBuffer).fill(6);
    allOf(opened).fill(7, 100_000);
    expect(fillsOf(producer, slot, 300_000)).toEqual([5]);
    expect(fillsOf(store.attach(), slot, 300_000)).toEqual([5]);
    expect(opened?.bufferOf(300_000, 0).byteLength).toBe(0);
    expect(() => opened?.bufferOf(299_999, 2)).toThrow(ProtocolError);
    expect(() => opened?.bufferOf(-1, 2)).toThrow(ProtocolError);
    expect(structuredClone(own)).toEqual(own);
  });

  it('does not open what was released, nor what never was', () => {
    const store = newStore();
    const [producer, reader] = [store.attach(), store.attach()];
    const slot = put(producer, 1, MIB);
    producer.release([slot]);
    expect(reader.open(slot, MIB)).toBeUndefined();
    const next = put(producer, 2, MIB);
    expect(next).toMatchObject({ segmentId: slot.segmentId, offset: slot.offset });
    expect(next.generation).not.toBe(slot.generation);
    expect(reader.open(slot, MIB)).toBeUndefined();
    expect(fillsOf(reader, next, MIB)).toEqual([2]);
    expect(reader.open({ ...next, segmentId: next.segmentId + 1 }, MIB)).toBeUndefined();
    producer.release([slot, slot, { ...slot, segmentId: 5 }]);
    expect(fillsOf(reader, next, MIB)).toEqual([2]);
  });

  it('refuses addresses that cannot be', () => {
    const store = newStore();
    const [producer, reader] = [store.attach(), store.attach()];
    const slot = put(producer, 1, MIB);
    const wrong: [Partial<SlotAddress>, number][] = [
      [{ offset: 1 }, MIB],
      [{ offset: -16_384 }, MIB],
      [{ offset: NaN }, MIB],
      [{ offset: 2 ** 52 }, MIB],
      [{ generation: 0 }, MIB],
      [{ generation: 2 ** 31 }, MIB],
      [{}, 0],
      [{}, -1],
      [{}, 1.5],
      [{}, MIB + 1],
      [{}, 2 ** 52],
    ];
    for (const [change, sizeBytes] of wrong)
      expect(
        () => reader.open({ ...slot, ...change }, sizeBytes),
        JSON.stringify([change, sizeBytes]),
      ).toThrow(ProtocolError);
    expect(fillsOf(reader, slot, MIB)).toEqual([1]);
    expect(reader.pinned([slot])).toEqual([access === 'mapped']);
  });

  it('keeps bytes as they came, whatever the pieces, in memory that is new and in memory that was used', () => {
    const store = newStore();
    const [producer, reader] = [store.attach(), store.attach()];
    const sizeBytes = 9 * MIB + 12_345;
    const pieceBytes = 1_000_003;
    for (let time = 0; time < 3; time++) {
      const data = randomBytes(sizeBytes);
      const slot = producer.write([data.subarray(0, 7), data.subarray(7)], sizeBytes);
      const reserved = producer.reserve(sizeBytes);
      if (slot === undefined || reserved === undefined) throw new Error('no room');
      const offsets = Array.from(
        { length: Math.ceil(sizeBytes / pieceBytes) },
        (_, n) => n * pieceBytes,
      );
      for (const offset of offsets.toReversed())
        reserved.write(offset, data.subarray(offset, offset + pieceBytes));
      for (const place of [slot, reserved.slot])
        expect(data.equals(allOf(reader.open(place, sizeBytes)))).toBe(true);
      producer.release([slot, reserved.slot]);
    }
  });

  it('fills a reservation piece by piece', () => {
    const store = newStore();
    const producer = store.attach();
    const reserved = producer.reserve(200_000);
    if (reserved === undefined) throw new Error('no room');
    reserved.write(100_000, filled(2, 100_000));
    reserved.write(0, filled(1, 100_000));
    expect(() => reserved.write(199_999, filled(1, 2))).toThrow(/reserved/);
    expect(fillsOf(store.attach(), reserved.slot, 200_000)).toEqual([1, 2]);
    producer.release([reserved.slot]);
    expect(() => reserved.write(0, filled(3, 1))).toThrow(/released/);
  });

  it('keeps within the quota of all processes together, and gives back what it trims', async () => {
    const store = newStore(16 * MIB);
    const [first, second] = [store.attach(), store.attach()];
    const slots: SlotAddress[] = [];
    for (;;) {
      const slot = first.write([filled(1, MIB)], MIB);
      if (slot === undefined) break;
      slots.push(slot);
    }
    expect(slots.length).toBeGreaterThanOrEqual(14);
    expect(first.usedBytes).toBeLessThanOrEqual(16 * MIB);
    expect(second.usedBytes).toBe(first.usedBytes);
    expect(second.write([filled(2, 2 * MIB)], 2 * MIB)).toBeUndefined();
    first.release(slots);
    expect(second.write([filled(2, 2 * MIB)], 2 * MIB)).toBeUndefined();
    const before = first.usedBytes;
    expect(first.trim(3 * MIB)).toBeGreaterThanOrEqual(3 * MIB);
    expect(first.trim()).toBeLessThan(before);
    expect(first.statistics()).toMatchObject({ segments: 0, segmentBytes: 0 });
    expect(second.usedBytes).toBe(0);
    const slot = second.write([filled(2, 15 * MIB)], 15 * MIB);
    expect(slot && fillsOf(first, slot, 15 * MIB)).toEqual([2]);
    expect(second.write([filled(2, 17 * MIB)], 17 * MIB)).toBeUndefined();
  });

  it('keeps objects of 8 to 24 MiB apart in a store of 75 MiB', () => {
    const store = newStore(75 * MIB);
    const producer = store.attach();
    const reader = store.attach();
    const live: { slot: SlotAddress; sizeBytes: number; fill: number }[] = [];
    for (let index = 0; index < 40; index++) {
      const sizeBytes = (8 + ((index * 7) % 17)) * MIB + index;
      const fill = index + 1;
      let slot = producer.write([filled(fill, sizeBytes)], sizeBytes);
      while (slot === undefined) {
        const oldest = live.shift();
        if (oldest === undefined) throw new Error(`no room for ${sizeBytes} in an empty store`);
        producer.release([oldest.slot]);
        slot = producer.write([filled(fill, sizeBytes)], sizeBytes);
      }
      live.push({ slot, sizeBytes, fill });
      expect(producer.usedBytes).toBeLessThanOrEqual(75 * MIB);
    }
    const copied = access === 'copied';
    for (const { slot, sizeBytes, fill } of live) {
      const all = allOf(reader.open(slot, sizeBytes));
      expect([all[0], all[sizeBytes - 1]]).toEqual([fill, fill]);
    }
    expect(reader.statistics().bytesCopiedOut > 0).toBe(copied);
  });

  it('shows each slot as it was written, over any history', () => {
    const step = fc.record({
      isRelease: fc.boolean(),
      pick: fc.nat(),
      pages: fc.integer({ min: 1, max: 40 }),
      fill: fc.integer({ min: 1, max: 255 }),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const store = newStore(6 * MIB);
        const [producer, reader] = [store.attach(), store.attach()];
        const live = new Map<SlotAddress, { fill: number; sizeBytes: number }>();
        const gone: SlotAddress[] = [];
        for (const { isRelease, pick, pages, fill } of steps) {
          const chosen = [...live.keys()][pick % Math.max(live.size, 1)];
          if (isRelease && chosen !== undefined) {
            producer.release([chosen]);
            live.delete(chosen);
            gone.push(chosen);
            continue;
          }
          const sizeBytes = pages * 16_384 - (pick % 1_000);
          const slot = producer.write([filled(fill, sizeBytes)], sizeBytes);
          if (slot !== undefined) live.set(slot, { fill, sizeBytes });
        }
        for (const [slot, { fill, sizeBytes }] of live)
          expect(fillsOf(reader, slot, sizeBytes)).toEqual([fill]);
        for (const slot of gone) expect(reader.open(slot, 1)).toBeUndefined();
        const ids = new Set([...live.keys()].map(({ segmentId }) => segmentId));
        const found = [...ids].flatMap((segmentId) => [...producer.liveSlots(segmentId)]);
        expect(new Set(found.map(({ slot }) => JSON.stringify(slot)))).toEqual(
          new Set([...live.keys()].map((slot) => JSON.stringify(slot))),
        );
        expect(producer.statistics().liveSlots).toBe(live.size);
      }),
      { numRuns: 15 },
    );
  });

  it('lets nobody else in, and leaves no file of a closed process', async () => {
    const store = newStore();
    const producer = store.attach();
    put(producer, 1, MIB);
    expect(statSync(store.directory).mode & 0o777).toBe(0o700);
    for (const name of readdirSync(store.directory))
      expect([name, statSync(`${store.directory}/${name}`).mode & 0o777]).toEqual([name, 0o600]);
    producer.close({ removeSegments: true });
    producer.close();
    await collectGarbage();
    expect(readdirSync(store.directory).toSorted()).toEqual(['control', 'owner.json']);
  });
});
