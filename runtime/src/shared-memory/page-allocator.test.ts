import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PageAllocator } from './page-allocator.ts';

const PAGES = 64;

describe('page allocator', () => {
  it('agrees with a model of single pages over any history', () => {
    const operation = fc.record({
      isRelease: fc.boolean(),
      pick: fc.nat(),
      count: fc.integer({ min: 1, max: 20 }),
    });
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 200 }), (operations) => {
        const allocator = new PageAllocator(PAGES);
        const taken = new Map<number, number>();
        const isTaken = Array.from({ length: PAGES }, () => false);
        for (const { isRelease, pick, count } of operations) {
          if (isRelease && taken.size > 0) {
            const [start, length] = [...taken][pick % taken.size] as [number, number];
            allocator.release(start, length);
            taken.delete(start);
            isTaken.fill(false, start, start + length);
          } else {
            const start = allocator.allocate(count);
            const hasRoom = freeRuns(isTaken).some(([, length]) => length >= count);
            const isRight = hasRoom
              ? start !== undefined && !isTaken.slice(start, start + count).includes(true)
              : start === undefined;
            if (!isRight) throw new Error(`${count} pages at ${start}`);
            if (start === undefined) continue;
            isTaken.fill(true, start, start + count);
            taken.set(start, count);
          }
          expect([...allocator.runs()]).toEqual(freeRuns(isTaken));
          expect(allocator.freePages).toBe(isTaken.filter((page) => !page).length);
        }
      }),
      { numRuns: 500 },
    );
  });

  it('gives out what was freed last, when it fits', () => {
    const allocator = new PageAllocator(PAGES);
    const slots = [
      allocator.allocate(4),
      allocator.allocate(4),
      allocator.allocate(4),
      allocator.allocate(4),
    ];
    expect(slots).toEqual([0, 4, 8, 12]);
    allocator.release(0, 4);
    allocator.release(8, 4);
    expect(allocator.allocate(4)).toBe(8);
    expect(allocator.allocate(4)).toBe(0);
    expect(allocator.allocate(4)).toBe(16);
  });

  it('takes the smallest run that fits', () => {
    const allocator = new PageAllocator(PAGES);
    for (let page = 0; page < PAGES; page += 8) allocator.allocate(8);
    allocator.release(0, 16);
    allocator.release(24, 8);
    allocator.release(40, 4);
    expect(allocator.allocate(6)).toBe(24);
  });

  it('starts taken where asked to, and refuses to free a page twice', () => {
    const allocator = new PageAllocator(PAGES, false);
    expect(allocator.allocate(1)).toBeUndefined();
    allocator.release(10, 5);
    expect(() => allocator.release(12, 1)).toThrow(/freed once/);
    expect(() => allocator.release(PAGES, 1)).toThrow(/of this segment/);
    expect(allocator.allocate(5)).toBe(10);
  });
});

function freeRuns(isTaken: readonly boolean[]): [number, number][] {
  const runs: [number, number][] = [];
  for (let page = 0; page < isTaken.length; page++) {
    if (isTaken[page] === true) continue;
    const last = runs.at(-1);
    if (last !== undefined && last[0] + last[1] === page) last[1]++;
    else runs.push([page, 1]);
  }
  return runs;
}
