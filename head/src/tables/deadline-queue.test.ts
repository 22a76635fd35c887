import fc from 'fast-check';
import { expect, it } from 'vitest';
import { DeadlineQueue } from './deadline-queue.ts';

it('gives what is due, earliest first, equals in the order they came', () => {
  fc.assert(
    fc.property(
      fc.array(fc.nat({ max: 50 }), { maxLength: 100 }),
      fc.nat({ max: 60 }),
      (times, now) => {
        const queue = new DeadlineQueue<{ at: number; index: number }>();
        times.forEach((at, index) => queue.add(at, { at, index }));
        const taken: { at: number; index: number }[] = [];
        for (let next = queue.takeDue(now); next !== undefined; next = queue.takeDue(now))
          taken.push(next);
        const expected = times
          .map((at, index) => ({ at, index }))
          .filter(({ at }) => at <= now)
          .sort((a, b) => a.at - b.at || a.index - b.index);
        expect(taken).toEqual(expected);
        expect(queue.size).toBe(times.length - expected.length);
      },
    ),
  );
});
