/** The process behind `runClientRows`: one order, then a row a message. */
import { once } from 'node:events';
import { init, shutdown } from '@manta/sdk';
import { type ClientOrder, timedClientRows } from './client-rows.ts';
import { runTimedRows } from './rows.ts';

const [order] = (await once(process, 'message')) as [ClientOrder];
const { address, suite, names, timing, quick } = order;
await init({ address, logToDriver: false });
await runTimedRows(suite, timedClientRows(quick), {
  timing,
  quick,
  wants: (name) => names.includes(name),
  onRow: (row) => void process.send?.(row),
  onNote: () => undefined,
});
await shutdown();
process.disconnect();
