import { free, get, init, put, shutdown, wait } from '@manta/sdk';
import { realData, startMemcpy } from '../limits/memcpy.ts';
import { clientRowNames, runClientRows } from './client-rows.ts';
import { measureLargeObject, measureTransfer } from './objects-clusters.ts';
import { type MeasuredRow, runMeasuredRows, runTimedRows, type TimedRow, timesOf } from './rows.ts';
import type { Suite, SuiteSettings } from './suite.ts';
import { createRefs, putLarge, putSmall } from './task-definitions.ts';

const bytesPerMebibyte = 2 ** 20;
/** Ray's arrays of int64. */
const singlePutBytes = 100 * bytesPerMebibyte * 8;
const multiPutBytes = 10 * bytesPerMebibyte * 8;
const clientCount = 10;

/** Both copy the same array, and each puts it where it had put it before. */
function putRow(name: string, makeArray: () => ArrayBufferView): TimedRow {
  let array: ArrayBufferView | undefined;
  const shared = (): ArrayBufferView => (array ??= makeArray());
  return {
    name,
    unit: 'GB/s',
    prepare: () => {
      const value = shared();
      const run = (): void => put(value)[Symbol.dispose]();
      return { multiplier: value.byteLength / (1_000 * bytesPerMebibyte), run };
    },
    limit: {
      name: 'memcpy_into_warm_shared_memory',
      start: () => {
        const { buffer, byteOffset, byteLength } = shared();
        array = undefined;
        return startMemcpy(new Uint8Array(buffer, byteOffset, byteLength));
      },
    },
  };
}

function timedRows({ quick }: SuiteSettings): TimedRow[] {
  const shrink = quick ? 64 : 1;
  return [
    {
      name: 'multi_client_put_calls',
      unit: 'put/s',
      prepare: () => ({
        multiplier: clientCount * 100,
        run: () => get(Array.from({ length: clientCount }, () => putSmall(100))),
      }),
    },
    // Zeros, as in Ray's row: all of them are one page of memory, read from the cache.
    putRow('single_client_put_gigabytes', () => new BigInt64Array(singlePutBytes / 8 / shrink)),
    putRow('single_client_put_gigabytes_of_real_data', () => realData(singlePutBytes / shrink)),
    {
      name: 'multi_client_put_gigabytes',
      unit: 'GB/s',
      prepare: () => ({
        multiplier: 8 / shrink,
        run: () =>
          get(Array.from({ length: clientCount }, () => putLarge(10, multiPutBytes / shrink))),
      }),
    },
    {
      name: 'single_client_get_object_containing_10k_refs',
      unit: 'get/s',
      prepare: async () => {
        const ref = createRefs(quick ? 100 : 10_000);
        await wait([ref]);
        return { multiplier: 1, run: () => get(ref) };
      },
    },
  ];
}

const measuredRows: readonly MeasuredRow[] = [
  {
    name: 'get_1_gib_array',
    unit: 'ms',
    async measure({ quick }) {
      using ref = put(new Uint8Array(2 ** 30 / (quick ? 64 : 1)));
      return { samples: await timesOf(quick ? 3 : 20, () => get(ref)) };
    },
  },
  {
    name: '10000_get_time',
    unit: 'ms',
    async measure({ quick }) {
      const refs = Array.from({ length: quick ? 100 : 10_000 }, (_, index) => put(index));
      return { samples: await timesOf(3, () => get(refs)) };
    },
  },
  {
    // Ray's store holds also the numbers of the row before, ours only what is as large as this.
    name: '10000_stored_get_time',
    unit: 'ms',
    async measure({ quick }) {
      const refs = Array.from({ length: quick ? 100 : 10_000 }, () => put(new Uint8Array(102_400)));
      const samples = await timesOf(3, () => get(refs));
      await free(refs);
      return { samples };
    },
  },
];

const clusterRows: readonly MeasuredRow[] = [
  { name: '10_gib_object_time', unit: 'ms', measure: measureLargeObject },
  { name: 'transfer_between_nodes', unit: 'GB/s', measure: measureTransfer },
];

/** The object rows of `ray microbenchmark`, of its single-node envelope, and transfer between two nodes. */
export const objectsSuite: Suite = {
  parts: (settings) => [
    ...[...timedRows(settings), ...measuredRows, ...clusterRows].map(({ name }) => [name]),
    clientRowNames('objects'),
  ],

  async run(settings) {
    const rows = [];
    if ([...timedRows(settings), ...measuredRows].some(({ name }) => settings.wants(name))) {
      await init();
      try {
        rows.push(...(await runTimedRows('objects', timedRows(settings), settings)));
        rows.push(...(await runMeasuredRows('objects', measuredRows, settings)));
      } finally {
        await shutdown();
      }
    }
    // These start clusters of their own.
    rows.push(...(await runMeasuredRows('objects', clusterRows, settings)));
    rows.push(...(await runClientRows('objects', settings)));
    return rows;
  },
};
