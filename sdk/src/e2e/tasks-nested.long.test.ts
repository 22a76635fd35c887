import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { availableResources, get, init, shutdown } from '@manta/sdk';
import { add, addBetweenItems, count, grow, nest, type TaskTree } from './fixtures/tasks.ts';

beforeAll(async () => {
  await init({ cpus: 1, logToDriver: false });
});
afterAll(() => shutdown());

const sizeOf = (tree: TaskTree): number =>
  tree.children.reduce((sum, child) => sum + sizeOf(child), 1);

const trees = fc.letrec<{ tree: TaskTree }>((tie) => ({
  tree: fc.record({
    milliseconds: fc.integer({ min: 0, max: 8 }),
    isBusy: fc.boolean(),
    waitsBy: fc.constantFrom('get' as const, 'wait' as const, 'await' as const),
    // A producer runs ahead by 64.
    zeros: fc.constantFrom(undefined, undefined, 0, 63, 200),
    children: fc.oneof(
      { depthSize: 'small', maxDepth: 3 },
      fc.constant([]),
      fc.array(tie('tree'), { maxLength: 3 }),
    ),
  }),
})).tree;

describe('tasks that wait for tasks, on one CPU', () => {
  it('go eight deep', async () => {
    expect(await nest(8)).toBe(8);
    await expect.poll(async () => (await availableResources())['cpus'], { timeout: 5_000 }).toBe(1);
  });

  it('go on while nobody reads a stream, whose producer goes on when somebody does', async () => {
    const stream = count(200);
    const iterator = stream[Symbol.asyncIterator]();
    expect(await iterator.next()).toEqual({ done: false, value: 0 });
    const others = Array.from({ length: 20 }, (_, index) => add(index, 1));
    expect(await get(others)).toEqual(others.map((_, index) => index + 1));
    let last = 0;
    for await (const value of stream) last = value;
    expect(last).toBe(199);
    expect(await addBetweenItems(200)).toBe(199 * 100 + 200);
    await expect.poll(async () => (await availableResources())['cpus'], { timeout: 5_000 }).toBe(1);
  });

  it('end, whatever tree they form, and give the CPU back', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(trees, { minLength: 1, maxLength: 2 }), async (forest) => {
        expect(await get(forest.map((tree) => grow(tree)))).toEqual(forest.map(sizeOf));
      }),
      { numRuns: 8 },
    );
    await expect.poll(async () => (await availableResources())['cpus'], { timeout: 5_000 }).toBe(1);
  });
});
