// oxlint-disable vitest/no-conditional-expect -- the steps say what to expect
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { NumberTable } from './number-table.ts';

type Step =
  | { type: 'add'; gap: number }
  | { type: 'add-far'; number: number }
  | { type: 'delete'; pick: number }
  | { type: 'delete-unknown'; number: number }
  | { type: 'clear' };

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 600, arbitrary: fc.record({ type: fc.constant('add' as const), gap: fc.nat(3) }) },
  {
    weight: 50,
    arbitrary: fc.record({
      type: fc.constant('add-far' as const),
      number: fc.nat(1_000).map((offset) => 2 ** 30 + offset),
    }),
  },
  {
    weight: 300,
    arbitrary: fc.record({ type: fc.constant('delete' as const), pick: fc.nat(10_000) }),
  },
  {
    weight: 50,
    arbitrary: fc.record({ type: fc.constant('delete-unknown' as const), number: fc.nat(5_000) }),
  },
  { weight: 1, arbitrary: fc.constant({ type: 'clear' as const }) },
);

describe('NumberTable', () => {
  it('is a map from numbers that keeps their order', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 800, size: 'max' }), (steps) => {
        const table = new NumberTable<{ of: number }>();
        const model = new Map<number, { of: number }>();
        let next = 0;
        const add = (number: number): void => {
          if (model.has(number)) return;
          const value = { of: number };
          table.set(number, value);
          model.set(number, value);
        };
        for (const current of steps) {
          if (current.type === 'add') add((next += 1 + current.gap));
          else if (current.type === 'add-far') add(current.number);
          else if (current.type === 'clear') {
            table.clear();
            model.clear();
          } else {
            const known = [...model.keys()];
            const number =
              current.type === 'delete' && known.length > 0
                ? (known[current.pick % known.length] as number)
                : ((current as { number?: number }).number ?? 0);
            table.delete(number);
            model.delete(number);
            expect(table.get(number)).toBeUndefined();
          }
          expect(table.size).toBe(model.size);
        }
        for (const [number, value] of model) expect(table.get(number)).toBe(value);
        expect(table.entries()).toEqual([...model]);
      }),
    );
  });

  it('keeps what is under way for long, and many at once', () => {
    const table = new NumberTable<{ of: number }>();
    table.set(1, { of: 1 });
    for (let number = 2; number < 100_000; number += 1) {
      table.set(number, { of: number });
      table.delete(number);
    }
    for (let number = 100_000; number < 200_000; number += 1) table.set(number, { of: number });
    expect(table.size).toBe(100_001);
    expect([table.get(1)?.of, table.get(2), table.get(150_000)?.of]).toEqual([
      1,
      undefined,
      150_000,
    ]);
    expect(table.values().slice(0, 2)).toEqual([{ of: 1 }, { of: 100_000 }]);
  });

  it('tells numbers apart that share their lowest 32 bits', () => {
    const table = new NumberTable<{ of: number }>();
    table.set(5, { of: 5 });
    expect(table.get(5 + 2 ** 32)).toBeUndefined();
    table.set(5 + 2 ** 32, { of: 6 });
    expect([table.get(5)?.of, table.get(5 + 2 ** 32)?.of]).toEqual([5, 6]);
  });
});
