import { defineConfig } from 'vitest/config';

const outside = ['**/node_modules/**', '**/dist/**', '**/.venv/**'];
const kinds = ['e2e', 'servers', 'long'];

/** A suite that starts real processes: one file at a time, after all suites before it. */
const processSuite = (kind: string, groupOrder: number, testTimeout: number) => ({
  test: {
    name: kind,
    include: [`**/*.${kind}.test.ts`],
    exclude: outside,
    testTimeout,
    hookTimeout: testTimeout,
    maxWorkers: 1,
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
      processSuite('e2e', 2, 60_000),
      processSuite('servers', 3, 120_000),
      processSuite('long', 4, 600_000),
    ],
  },
});
