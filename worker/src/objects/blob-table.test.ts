import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { BlobId, ProcessId } from '@manta/runtime/ids';
import { BlobTable, type BlobEntry, type Freed } from './blob-table.ts';

const processId = (number: number): ProcessId => `p_${number}` as ProcessId;
const blobId = (number: number): BlobId => `b_${number}` as BlobId;
const slotOf = (number: number) => ({ segmentId: number, offset: 0, generation: 1 });

function entry(number: number, owner: ProcessId, holder: ProcessId | undefined): BlobEntry {
  return {
    blobId: blobId(number),
    sizeBytes: 100,
    owner,
    ownerAddress: undefined,
    slot: slotOf(number),
    holder,
    isCopy: false,
    spilled: undefined,
    lastUsedMs: 0,
  };
}

describe('the blobs of a node', () => {
  it('are freed where they lie: in the agent, with their holder, on disk', () => {
    const table = new BlobTable();
    const [owner, holder] = [processId(1), processId(2)];
    table.add(entry(1, owner, undefined));
    table.add(entry(2, owner, holder));
    const onDisk = table.add(entry(3, owner, holder));
    onDisk.spilled = { path: '/a', offset: 0, sizeBytes: 100, checksums: [1] };
    table.place(onDisk, undefined, undefined);
    const freed = table.release([blobId(1), blobId(2), blobId(3), blobId(4)]);
    expect(freed.slots).toEqual([slotOf(1)]);
    expect([...freed.byHolder]).toEqual([[holder, [blobId(2)]]]);
    expect(freed.spilled).toMatchObject([{ path: '/a' }]);
    expect(freed.unknown).toEqual([blobId(4)]);
    expect(freed.owners).toEqual([owner]);
    expect(table.size).toBe(0);
  });

  it('stay when their holder dies, unless they were its own', () => {
    const table = new BlobTable();
    const [owner, holder] = [processId(1), processId(2)];
    table.add(entry(1, owner, holder));
    table.add(entry(2, holder, holder));
    expect(table.ownerDied(holder).byHolder.get(holder)).toEqual([blobId(2)]);
    expect(table.holderDied(holder)).toEqual([slotOf(1)]);
    expect(table.get(blobId(1))).toMatchObject({ holder: undefined, slot: slotOf(1) });
    expect(table.release([blobId(1)]).slots).toEqual([slotOf(1)]);
  });

  it('are each freed exactly once, and nothing of the dead is left, in any order of events', () => {
    const event = fc.oneof(
      fc.tuple(fc.constant('add' as const), fc.nat(20), fc.nat(3), fc.option(fc.nat(3))),
      fc.tuple(fc.constant('evict' as const), fc.nat(20)),
      fc.tuple(fc.constant('restore' as const), fc.nat(20)),
      fc.tuple(fc.constant('release' as const), fc.nat(20)),
      fc.tuple(fc.constant('die' as const), fc.nat(3)),
    );
    fc.assert(
      fc.property(fc.array(event, { maxLength: 80 }), (events) => {
        const table = new BlobTable();
        const known = new Map<BlobId, BlobEntry>();
        const places = (freed: Freed): number =>
          freed.slots.length + freed.spilled.length + [...freed.byHolder.values()].flat().length;
        const placesOf = (one: BlobEntry): number =>
          (one.slot === undefined ? 0 : 1) + (one.spilled === undefined ? 0 : 1);
        for (const one of events) {
          if (one[0] === 'add') {
            const [, number, owner, holder] = one;
            const from = holder === null ? undefined : processId(holder);
            const added = table.add(entry(number, processId(owner), from));
            assert.equal(known.get(added.blobId) ?? added, added);
            known.set(added.blobId, added);
          } else if (one[0] === 'evict' || one[0] === 'restore') {
            const found = known.get(blobId(one[1]));
            if (found === undefined) continue;
            found.spilled ??= { path: '/a', offset: one[1], sizeBytes: 100, checksums: [1] };
            table.place(found, one[0] === 'evict' ? undefined : slotOf(one[1]), undefined);
          } else if (one[0] === 'release') {
            const found = known.get(blobId(one[1]));
            const freed = table.release([blobId(one[1])]);
            assert.equal(places(freed), found === undefined ? 0 : placesOf(found));
            known.delete(blobId(one[1]));
          } else {
            const dead = processId(one[1]);
            const owned = [...known.values()].filter(({ owner }) => owner === dead);
            const expected = owned.reduce((sum, found) => sum + placesOf(found), 0);
            assert.equal(places(table.ownerDied(dead)), expected);
            for (const found of owned) known.delete(found.blobId);
            table.holderDied(dead);
            for (const found of table.entries()) {
              assert.notEqual(found.owner, dead);
              assert.notEqual(found.holder, dead);
            }
          }
          expect(table.size).toBe(known.size);
        }
      }),
    );
  });
});
