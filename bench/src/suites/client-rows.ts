import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { get, put } from '@manta/sdk';
import { startTestCluster } from '@manta/sdk/testing';
import type { Row } from '../report/report.ts';
import { timedCallRows } from './core-calls.ts';
import type { TimedRow } from './rows.ts';
import type { SuiteSettings } from './suite.ts';
import { putSmall, submitAndGet } from './task-definitions.ts';

/**
 * Ray's `client__*` rows: the program is not on a machine of the cluster. Ray's goes through a proxy there; ours is a
 * driver like any other, reached over TCP, that keeps in its heap what it puts.
 */
const clientPrefix = 'client__';
/** Ray's array of int64. */
const putBytes = 100 * 2 ** 20 * 8;

const callRowNames = [
  '1_1_actor_calls_sync',
  '1_1_actor_calls_async',
  '1_1_actor_calls_concurrent',
];

const rowNames = {
  core: callRowNames.map((name) => `${clientPrefix}${name}`),
  objects: ['client__get_calls', 'client__put_calls', 'client__put_gigabytes'],
  tasks: ['client__tasks_and_put_batch', 'client__tasks_and_get_batch'],
} as const;

export type ClientSuite = keyof typeof rowNames;

export function clientRowNames(suite: ClientSuite): readonly string[] {
  return rowNames[suite];
}

/** Need an initialised SDK. */
export function timedClientRows(quick: boolean): TimedRow[] {
  const calls = timedCallRows(1)
    .filter(({ name }) => callRowNames.includes(name))
    .map((row) => ({
      name: `${clientPrefix}${row.name}`,
      unit: row.unit,
      prepare: () => row.prepare(),
    }));
  return [
    ...calls,
    {
      name: 'client__get_calls',
      unit: 'get/s',
      prepare: () => {
        const ref = put(0);
        return { multiplier: 1, run: () => get(ref) };
      },
    },
    {
      name: 'client__put_calls',
      unit: 'put/s',
      prepare: () => ({ multiplier: 1, run: () => put(0)[Symbol.dispose]() }),
    },
    {
      name: 'client__put_gigabytes',
      unit: 'GB/s',
      prepare: () => {
        const value = new BigInt64Array(putBytes / 8 / (quick ? 64 : 1));
        const run = (): void => put(value)[Symbol.dispose]();
        return { multiplier: value.byteLength / (1_000 * 2 ** 20), run };
      },
    },
    {
      name: 'client__tasks_and_put_batch',
      unit: 'put/s',
      prepare: () => ({
        multiplier: 1_000,
        run: () => get(Array.from({ length: 10 }, () => putSmall(100))),
      }),
    },
    {
      name: 'client__tasks_and_get_batch',
      unit: 'batch/s',
      prepare: () => ({
        multiplier: 1,
        run: () => submitAndGet(1_000),
      }),
    },
  ];
}

/** What the process that is the client is told. */
export interface ClientOrder {
  address: string;
  suite: ClientSuite;
  names: string[];
  timing: SuiteSettings['timing'];
  quick: boolean;
}

/** The client rows of a suite, measured by a process that the cluster's node takes for one of another machine. */
export async function runClientRows(suite: ClientSuite, settings: SuiteSettings): Promise<Row[]> {
  const names = rowNames[suite].filter((name) => settings.wants(name));
  if (names.length === 0) return [];
  await using cluster = await startTestCluster({ nodes: [{ machine: 'another' }] });
  const { timing, quick } = settings;
  return await askClient({ address: cluster.address, suite, names, timing, quick }, settings);
}

async function askClient(order: ClientOrder, settings: SuiteSettings): Promise<Row[]> {
  const client = fork(fileURLToPath(new URL('./client-driver.js', import.meta.url)), [], {
    execArgv: [],
  });
  const rows: Row[] = [];
  client.on('message', (row: Row) => {
    settings.onRow(row);
    rows.push(row);
  });
  client.send(order);
  const [code] = (await once(client, 'close')) as [number | null];
  if (code !== 0)
    throw new Error(`The client of the ${order.suite} rows ended with ${String(code)}.`);
  return rows;
}
