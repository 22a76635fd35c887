import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createIdMint } from '@manta/runtime/ids';
import { chooseVictims, type Candidate } from './victims.ts';

let serial = 0;
const mint = createIdMint((bytes) => {
  serial += 1;
  new DataView(bytes.buffer).setUint32(0, serial * 2654435761);
  for (let index = 4; index < bytes.length; index += 1) bytes[index] = (serial >> (index - 4)) & 31;
});

const NOW_MS = 1_000_000;
const candidate = fc
  .record({
    sizeBytes: fc.integer({ min: 1, max: 1_000 }),
    lastUsedMs: fc.integer({ min: NOW_MS - 2_000, max: NOW_MS }),
    onDisk: fc.boolean(),
    isCopy: fc.boolean(),
    pinned: fc.boolean(),
  })
  .map((fields): Candidate => ({
    ...fields,
    blobId: mint('blob'),
    slot: { segmentId: 1, offset: 0, generation: 1 },
    holder: undefined,
  }));

const bytesOf = (list: readonly Candidate[]): number =>
  list.reduce((bytes, { sizeBytes }) => bytes + sizeBytes, 0);

describe('what leaves memory', () => {
  it('is enough, or all that nobody looks at; never pinned; and not one blob too many', () => {
    fc.assert(
      fc.property(fc.array(candidate), fc.integer({ min: 1, max: 5_000 }), (all, wanted) => {
        const chosen = chooseVictims(all, wanted, NOW_MS);
        const free = all.filter(({ pinned }) => !pinned);
        expect(chosen.every((one) => free.includes(one))).toBe(true);
        if (bytesOf(free) <= wanted) assert.equal(chosen.length, free.length);
        else assert(bytesOf(chosen) >= wanted);
        if (chosen.length > 0) assert(bytesOf(chosen.slice(0, -1)) < wanted);
      }),
    );
  });

  it('is least recently used among its like, and what has another copy goes before what must be written', () => {
    fc.assert(
      fc.property(fc.array(candidate), fc.integer({ min: 1, max: 5_000 }), (all, wanted) => {
        const chosen = new Set(chooseVictims(all, wanted, NOW_MS));
        const isCheap = ({ onDisk, isCopy }: Candidate): boolean => onDisk || isCopy;
        const isRecent = ({ lastUsedMs }: Candidate): boolean => NOW_MS - lastUsedMs < 200;
        for (const kept of all.filter((one) => !one.pinned && !chosen.has(one)))
          for (const gone of chosen) {
            if (isRecent(kept) === isRecent(gone) && isCheap(kept) === isCheap(gone))
              assert(gone.lastUsedMs <= kept.lastUsedMs);
            if (isRecent(kept) === isRecent(gone) && isCheap(kept)) assert(isCheap(gone));
            if (!isRecent(kept)) assert.equal(isRecent(gone), false);
          }
      }),
    );
  });
});
