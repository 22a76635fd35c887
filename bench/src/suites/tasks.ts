import { get, init, put, shutdown, wait } from '@manta/sdk';
import { type MeasuredRow, runMeasuredRows, runTimedRows, type TimedRow, timesOf } from './rows.ts';
import type { Suite } from './suite.ts';
import { countUp, smallValue, Submitter, total } from './task-definitions.ts';

const batchTasks = 1000;
const clientCount = 4;
const clientTasks = 10_000;

const submitAndGet = (count: number): Promise<unknown> =>
  get(Array.from({ length: count }, () => smallValue()));

/** Ray's `wait_multiple_refs`: a thousand waits, each for one more. */
async function waitForEach(): Promise<void> {
  let pending = Array.from({ length: batchTasks }, () => smallValue());
  let fetchLocal = true;
  for (let index = 0; index < batchTasks; index++) {
    ({ pending } = await wait(pending, { fetchLocal }));
    fetchLocal = false;
  }
}

const timedRows: readonly TimedRow[] = [
  {
    name: 'single_client_tasks_and_get_batch',
    unit: 'batch/s',
    prepare: () => ({ multiplier: 1, run: () => submitAndGet(batchTasks) }),
  },
  {
    name: 'single_client_wait_1k_refs',
    unit: 'batch/s',
    prepare: () => ({ multiplier: 1, run: waitForEach }),
  },
  {
    name: 'single_client_tasks_sync',
    unit: 'task/s',
    prepare: () => ({ multiplier: 1, run: () => smallValue() }),
  },
  {
    name: 'single_client_tasks_async',
    unit: 'task/s',
    prepare: () => ({ multiplier: batchTasks, run: () => submitAndGet(batchTasks) }),
  },
  {
    name: 'multi_client_tasks_async',
    unit: 'task/s',
    prepare: () => {
      const actors = Array.from({ length: clientCount }, () => Submitter.create());
      return {
        multiplier: clientCount * clientTasks,
        actors,
        run: () => get(actors.map((actor) => actor.smallValueBatch(clientTasks))),
      };
    },
  },
];

const measuredRows: readonly MeasuredRow[] = [
  {
    name: '10000_args_time',
    unit: 'ms',
    async measure({ quick }) {
      const count = quick ? 100 : 10_000;
      const samples = await timesOf(3, async () => {
        const refs = Array.from({ length: count }, (_, index) => put(index));
        const sum = await total(...refs);
        if (sum !== (count * (count - 1)) / 2) throw new Error(`The sum is ${sum}.`);
      });
      return { samples };
    },
  },
  {
    name: '3000_returns_time',
    unit: 'ms',
    async measure({ quick }) {
      const count = quick ? 30 : 3_000;
      const samples = await timesOf(3, async () => {
        let last = -1;
        for await (const value of countUp(count)) last = value;
        if (last !== count - 1) throw new Error(`The last value is ${last}.`);
      });
      return { samples };
    },
  },
  {
    name: '1000000_queued',
    unit: 'task/s',
    async measure({ quick, onNote }) {
      const count = quick ? 1_000 : 1_000_000;
      const [elapsedMs] = await timesOf(1, () => submitAndGet(count));
      if (!quick)
        onNote(
          `${count} queued tasks: driver ${Math.round(process.memoryUsage().rss / 2 ** 20)} MiB`,
        );
      return { samples: [count / ((elapsedMs ?? Infinity) / 1000)] };
    },
  },
];

const rowNames = [...timedRows, ...measuredRows].map(({ name }) => name);

/** The task rows of `ray microbenchmark` and of its single-node envelope. */
export const tasksSuite: Suite = {
  parts: () => rowNames.map((name) => [name]),

  async run(settings) {
    if (!rowNames.some((name) => settings.wants(name))) return [];
    await init();
    try {
      return [
        ...(await runTimedRows('tasks', timedRows, settings)),
        ...(await runMeasuredRows('tasks', measuredRows, settings)),
      ];
    } finally {
      await shutdown();
    }
  },
};
