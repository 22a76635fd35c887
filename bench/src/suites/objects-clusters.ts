import { get, init, listNodes, put, ready, shutdown, wait } from '@manta/sdk';
import { startTestCluster, type TestNodeOptions } from '@manta/sdk/testing';
import { coldMemcpyMs } from '../limits/memcpy.ts';
import { streamBytes } from '../limits/stream-bytes.ts';
import { Consumer, Producer } from './object-actors.ts';
import { type MeasuredRow, timesOf } from './rows.ts';

type Measure = MeasuredRow['measure'];

const bytesPerGibibyte = 2 ** 30;
const bytesPerGigabyte = 1e9;

async function withCluster<T>(nodes: TestNodeOptions[], run: () => Promise<T>): Promise<T> {
  await using cluster = await startTestCluster({ nodes });
  await init({ address: cluster.address });
  try {
    return await run();
  } finally {
    await shutdown();
  }
}

/**
 * put and get of 10 GiB. One typed array of this Node.js holds at most 4 GiB, so the object is a list of arrays of
 * 1 GiB; the bytes are those of Ray's one array.
 */
export const measureLargeObject: Measure = async ({ quick }) => {
  const partBytes = bytesPerGibibyte / (quick ? 640 : 1);
  const partCount = 10;
  const sizeBytes = partBytes * partCount;
  const samples = await withCluster([{ objectStoreBytes: sizeBytes + bytesPerGibibyte }], () =>
    timesOf(1, async () => {
      using ref = put(Array.from({ length: partCount }, () => new Uint8Array(partBytes)));
      const parts = await get(ref);
      if (parts.length !== partCount || parts.at(-1)?.at(-1) !== 0)
        throw new Error('The object came back changed.');
    }),
  );
  // Afterwards: the machine has not the memory for both.
  const value = coldMemcpyMs({ count: partCount, sizeBytes: partBytes });
  return { samples, limit: { name: 'memcpy_into_cold_shared_memory', value } };
};

/**
 * A result that lies on one node is an argument on another, over TCP; nothing of it is there yet. The first is not counted: it goes
 * into memory that the kernel has to give first, and the limit is a stream into memory that is used again.
 */
export const measureTransfer: Measure = async ({ quick }) => {
  const sizeBytes = bytesPerGibibyte / (quick ? 64 : 1);
  const rounds = quick ? 2 : 5;
  const node = { objectStoreBytes: 3 * sizeBytes };
  const samples = await withCluster([node, { ...node, machine: 'another' }], async () => {
    const [source, target] = (await listNodes()).map(({ nodeId }) => ({ scheduling: { nodeId } }));
    if (source === undefined || target === undefined) throw new Error('There are no two nodes.');
    const producer = Producer.options(source).create();
    const consumer = Consumer.options(target).create();
    await Promise.all([ready(producer), ready(consumer)]);
    const rates: number[] = [];
    for (let round = -1; round < rounds; round++) {
      using bytes = producer.make(sizeBytes);
      await wait([bytes], { fetchLocal: false });
      const [elapsedMs] = await timesOf(1, () => consumer.lengthOf(bytes));
      if (round < 0) continue;
      rates.push(sizeBytes / bytesPerGigabyte / ((elapsedMs ?? Infinity) / 1000));
    }
    return rates;
  });
  const value = await streamBytes({ sizeBytes, rounds });
  return { samples, limit: { name: 'raw_tcp_stream', value } };
};
