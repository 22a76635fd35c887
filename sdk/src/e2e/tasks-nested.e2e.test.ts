import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { availableResources, get, init, shutdown } from '@manta/sdk';
import { grow, nest, type TaskTree } from './fixtures/tasks.ts';

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
