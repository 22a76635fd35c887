import { defineConfig } from 'vitest/config';

const outside = ['**/node_modules/**', '**/dist/**', '**/.venv/**'];
const kinds = ['e2e', 'servers', 'long'];

/** A suite that starts real processes, after all suites before it, in so many files at a time. */
const processSuite = (
  kind: string,
  groupOrder: number,
  { testTimeout, maxWorkers = 1 }: { testTimeout: number; maxWorkers?: number },
) => ({
  test: {
    name: kind,
    include: [`**/*.${kind}.test.ts`],
    exclude: outside,
    testTimeout,
    hookTimeout: testTimeout,
    maxWorkers,
    sequence: { groupOrder },
  },
});

export default defineConfig({
  test: {
    reporters: ['default', './scripts/summary-reporter.mjs'],
    projects: [
      {
        test: {
          name: 'unit',
          include: ['**/*.test.ts'],
          exclude: [...outside, ...kinds.map((kind) => `**/*.${kind}.test.ts`)],
          testTimeout: 15_000,
          hookTimeout: 15_000,
          maxWorkers: 2,
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          name: 'types',
          include: [],
          typecheck: {
            enabled: true,
            only: true,
            include: ['**/*.test-d.ts'],
            exclude: outside,
            tsconfig: './tsconfig.tests.json',
          },
          sequence: { groupOrder: 0 },
        },
      },
      // These wait more than they compute, each with processes and folders of its own.
      processSuite('e2e', 2, { testTimeout: 60_000, maxWorkers: 2 }),
      processSuite('servers', 3, { testTimeout: 120_000 }),
      processSuite('long', 4, { testTimeout: 600_000 }),
    ],
  },
});
