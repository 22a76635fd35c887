import fc from 'fast-check';
import { expect, it } from 'vitest';
import { LineageTable } from './lineage-table.ts';

type Step = { type: 'add'; bytes: number } | { type: 'remove'; key: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ type: fc.constant('add' as const), bytes: fc.integer({ min: 0, max: 40 }) }),
  fc.record({ type: fc.constant('remove' as const), key: fc.integer({ min: 100, max: 140 }) }),
);

function apply(table: LineageTable, key: number, given: Step): number[] {
  if (given.type === 'add') return table.add(key, given.bytes);
  table.remove(given.key);
  return [];
}

it('keeps the newest that fit within its limit, over any history', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 100 }),
      fc.array(step, { maxLength: 60 }),
      (limit, steps) => {
        const table = new LineageTable(limit);
        let kept: [key: number, bytes: number][] = [];
        steps.forEach((given, index) => {
          const key = 100 + index;
          const dropped: number[] = [];
          const sum = (): number => kept.reduce((bytes, [, one]) => bytes + one, 0);
          if (given.type === 'remove') kept = kept.filter(([other]) => other !== given.key);
          else kept.push([key, given.bytes]);
          while (sum() > limit) dropped.push((kept.shift() as [number, number])[0]);
          expect(apply(table, key, given)).toEqual(dropped);
          expect(table.size).toBe(kept.length);
          expect(table.bytes).toBe(kept.reduce((bytes, [, one]) => bytes + one, 0));
          expect(table.bytes).toBeLessThanOrEqual(limit);
        });
      },
    ),
  );
});

it('drops one that alone exceeds the limit, with all before it', () => {
  const table = new LineageTable(10);
  expect(table.add(1, 5)).toEqual([]);
  expect(table.add(2, 11)).toEqual([1, 2]);
  expect([table.size, table.bytes]).toEqual([0, 0]);
});
