import { get, init, put, shutdown, wait } from '@manta/sdk';
import { clientRowNames, runClientRows } from './client-rows.ts';
import { queuedRowNames, runQueuedRows } from './queued-rows.ts';
import { type MeasuredRow, runMeasuredRows, runTimedRows, type TimedRow, timesOf } from './rows.ts';
import type { Suite } from './suite.ts';
import { countUp, smallValue, submitAndGet, Submitter, total } from './task-definitions.ts';

const batchTasks = 1000;
const clientCount = 4;
const clientTasks = 10_000;

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
];

const ownRowNames = [...timedRows, ...measuredRows].map(({ name }) => name);

/** The task rows of `ray microbenchmark` and of its single-node envelope. */
export const tasksSuite: Suite = {
  parts: () => [...ownRowNames.map((name) => [name]), queuedRowNames, clientRowNames('tasks')],

  async run(settings) {
    const rows = [];
    if (ownRowNames.some((name) => settings.wants(name))) {
      await init();
      try {
        rows.push(...(await runTimedRows('tasks', timedRows, settings)));
        rows.push(...(await runMeasuredRows('tasks', measuredRows, settings)));
      } finally {
        await shutdown();
      }
    }
    rows.push(...(await runQueuedRows(settings)));
    rows.push(...(await runClientRows('tasks', settings)));
    return rows;
  },
};
