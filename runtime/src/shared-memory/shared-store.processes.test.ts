import { existsSync, readdirSync } from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';
import { collectGarbage } from '../core/garbage.ts';
import type { SlotAddress } from '../objects/blob.ts';
import { MAPPED_KINDS, STORE_KINDS, TestStore, type StoreKind } from '../testing/test-store.ts';
import { waitFor } from '../testing/wait-for.ts';
import type { SharedStore } from './shared-store.ts';
import { pinsPath, segmentPath } from './store-layout.ts';

const MIB = 1024 * 1024;
const filled = (fill: number, sizeBytes: number): Uint8Array =>
  new Uint8Array(sizeBytes).fill(fill);

const stores: TestStore[] = [];
const newStore = (kind: StoreKind, limitBytes = 64 * MIB): TestStore => {
  const store = new TestStore(kind, limitBytes);
  stores.push(store);
  return store;
};
afterEach(async () => {
  for (const store of stores.splice(0)) await store.close();
});

const put = (store: SharedStore, fill: number, sizeBytes = MIB): SlotAddress => {
  const slot = store.write([filled(fill, sizeBytes)], sizeBytes);
  if (slot === undefined) throw new Error('no room');
  return slot;
};
/** Not within the tests: a suspended function keeps what it has touched. */
const fillsOf = (store: SharedStore, slot: SlotAddress, sizeBytes = MIB): number[] | undefined => {
  const opened = store.open(slot, sizeBytes);
  return opened && [...new Set(new Uint8Array(opened.bufferOf(0, sizeBytes)))];
};
const isSamePlace = (a: SlotAddress, b: SlotAddress): boolean =>
  a.segmentId === b.segmentId && a.offset === b.offset;

describe.each(STORE_KINDS)('processes of a store ($name) that die', (kind) => {
  const { access } = kind;
  it('leave what they stored to who adopts it', async () => {
    const store = newStore(kind);
    const agent = store.attach();
    const dying = await store.startProcess();
    const slots: SlotAddress[] = [];
    for (const fill of [1, 2, 3]) {
      const slot = await dying.write(fill, 2 * MIB);
      if (slot !== null) slots.push(slot);
    }
    await dying.release(slots.slice(1, 2));
    await dying.kill();
    const usedBytes = agent.usedBytes;
    const adopted = agent.adopt(dying.processId);
    expect(new Set(adopted)).toEqual(new Set(slots.map(({ segmentId }) => segmentId)));
    expect(existsSync(pinsPath(store.directory, dying.processId))).toBe(false);
    expect(agent.usedBytes).toBe(usedBytes);
    expect(agent.adopt(dying.processId)).toEqual([]);
    const reader = store.attach();
    const [first, second, third] = slots as [SlotAddress, SlotAddress, SlotAddress];
    expect(fillsOf(reader, first, 2 * MIB)).toEqual([1]);
    expect(fillsOf(reader, second, 2 * MIB)).toBeUndefined();
    expect(fillsOf(reader, third, 2 * MIB)).toEqual([3]);
    expect(adopted.flatMap((segmentId) => [...agent.liveSlots(segmentId)]).length).toBe(2);
    agent.release([first, third]);
    expect(fillsOf(store.attach(), first, 2 * MIB)).toBeUndefined();
    await collectGarbage();
    agent.sweep();
    agent.trim();
    expect(agent.usedBytes).toBe(0);
    expect(readdirSync(store.directory).filter((name) => name.startsWith('segment-'))).toEqual([]);
  });

  it('hold nothing any more once they are adopted', async () => {
    const store = newStore(kind);
    const producer = store.attach();
    const dying = await store.startProcess();
    const slot = put(producer, 4);
    expect(await dying.open('it', slot, MIB)).toBe(true);
    expect(producer.pinned([slot])).toEqual([access === 'mapped']);
    await dying.kill();
    producer.release([slot]);
    expect(producer.statistics().releasedSlots).toBe(access === 'mapped' ? 1 : 0);
    store.attach().adopt(dying.processId);
    expect(producer.pinned([slot])).toEqual([false]);
    producer.sweep();
    expect(producer.statistics()).toMatchObject({ releasedSlots: 0, liveSlots: 0 });
    expect(isSamePlace(put(producer, 5), slot)).toBe(true);
  });
});

describe.each(MAPPED_KINDS)('pins of a store ($name)', (kind) => {
  it('keep the bytes of a released slot for as long as another process looks at them', async () => {
    const store = newStore(kind);
    const producer = store.attach();
    const reader = await store.startProcess();
    const slot = put(producer, 1);
    await reader.open('it', slot, MIB);
    producer.release([slot]);
    const other = put(producer, 2);
    expect(isSamePlace(other, slot)).toBe(false);
    expect(await reader.read('it')).toEqual([1]);
    expect(await reader.letGo('it')).toBe(0);
    producer.sweep();
    expect(producer.statistics().releasedSlots).toBe(0);
    expect(isSamePlace(put(producer, 3), slot)).toBe(true);
  });

  it('are found though the process attached, and pinned more than fits a page, after the last look', async () => {
    const store = newStore(kind, 256 * MIB);
    const producer = store.attach();
    producer.release([put(producer, 1)]);
    const reader = store.attach();
    const slots = Array.from({ length: 5_000 }, () => put(producer, 1, 10));
    const held = { opened: slots.map((slot) => reader.open(slot, 10)) };
    expect(producer.pinned(slots)).not.toContain(false);
    producer.release(slots);
    expect(producer.statistics().releasedSlots).toBe(5_000);
    const isIntact = (): boolean => held.opened.every((bytes) => bytes?.bytes[9] === 1);
    expect(isIntact()).toBe(true);
    held.opened = [];
    await waitFor(
      async () => {
        await collectGarbage();
        return reader.statistics().views === 0;
      },
      { describe: 'no views' },
    );
    producer.sweep();
    expect(producer.statistics()).toMatchObject({ releasedSlots: 0, liveSlots: 0 });
  });

  it('last until the last ArrayBuffer of a slot is gone, also of a slot that was opened twice', async () => {
    const store = newStore(kind);
    const [producer, reader] = [store.attach(), store.attach()];
    const slot = put(producer, 1);
    const held = new Map<string, Uint8Array>();
    const hold = (name: string, offset: number, length: number): void => {
      const buffer = reader.open(slot, MIB)?.bufferOf(offset, length);
      if (buffer !== undefined) held.set(name, new Uint8Array(buffer));
    };
    hold('first', 0, MIB);
    hold('second', 0, 100);
    producer.release([slot]);
    expect(fillsOf(store.attach(), slot)).toBeUndefined();
    held.delete('first');
    await collectGarbage();
    producer.sweep();
    expect(reader.statistics().views).toBe(1);
    expect(producer.statistics().releasedSlots).toBe(1);
    const isIntact = (): boolean => held.get('second')?.every((byte) => byte === 1) === true;
    expect(isIntact()).toBe(true);
    held.clear();
    await collectGarbage();
    producer.sweep();
    expect(producer.statistics().releasedSlots).toBe(0);
  });

  it('are looked at again in the background', async () => {
    const store = newStore(kind);
    const [producer, reader] = [store.attach(), store.attach()];
    const slot = put(producer, 1);
    expect(fillsOf(reader, slot)).toEqual([1]);
    producer.release([slot]);
    expect(producer.statistics().releasedSlots).toBe(1);
    await collectGarbage();
    await waitFor(() => producer.statistics().releasedSlots === 0, {
      describe: 'the slot is free',
    });
  });
});

describe.each(MAPPED_KINDS)('private pages of a store ($name)', (kind) => {
  it('that a reader changed are not shown in place of what is stored there later', async () => {
    const store = newStore(kind);
    const producer = store.attach();
    const reader = await store.startProcess();
    const slot = put(producer, 1);
    await reader.open('it', slot, MIB);
    await reader.change('it', 99);
    expect(await reader.read('it')).toEqual([99]);
    expect(fillsOf(producer, slot)).toEqual([1]);
    await reader.letGo('it');
    await collectGarbage();
    producer.release([slot]);
    // Overlaps the changed pages, but neither starts nor ends with them.
    const small = put(producer, 2, 100_000);
    const large = put(producer, 3, 600_000);
    expect(isSamePlace(small, slot)).toBe(true);
    expect(large.segmentId).toBe(slot.segmentId);
    await reader.open('small', small, 100_000);
    await reader.open('large', large, 600_000);
    expect(await reader.read('small')).toEqual([2]);
    expect(await reader.read('large')).toEqual([3]);
  });

  it('of a segment that was given back do not keep its memory', async () => {
    const store = newStore(kind);
    const [producer, reader] = [store.attach(), store.attach()];
    const slot = put(producer, 1);
    expect(fillsOf(reader, slot)).toEqual([1]);
    await collectGarbage();
    producer.release([slot]);
    producer.trim();
    expect(existsSync(segmentPath(store.directory, slot.segmentId))).toBe(false);
    expect(fillsOf(reader, slot)).toBeUndefined();
    reader.sweep();
    expect(producer.usedBytes).toBe(0);
  });
});
