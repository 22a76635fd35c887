import { init, shutdown } from '@manta/sdk';
import { serverCount } from '../harness/machine.ts';
import type { Row } from '../report/report.ts';
import { clientRowNames, runClientRows } from './client-rows.ts';
import { callRowNames, timedCallRows } from './core-calls.ts';
import { creationParts, runCreationRows, runInitRow } from './core-creation.ts';
import { runTimedRows } from './rows.ts';
import type { Suite, SuiteSettings } from './suite.ts';

/** Names of rows; those of a part are measured together. */
export const coreParts: readonly (readonly string[])[] = [
  ['init_private_cluster'],
  ...callRowNames.map((name) => [name]),
  ...creationParts,
  clientRowNames('core'),
];

async function run(settings: SuiteSettings): Promise<Row[]> {
  const rows = await runInitRow(settings);
  const others = [...callRowNames, ...creationParts.flat()];
  if (others.some((name) => settings.wants(name))) {
    await init();
    try {
      rows.push(...(await runTimedRows('core', timedCallRows(serverCount()), settings)));
      rows.push(...(await runCreationRows(settings)));
    } finally {
      await shutdown();
    }
  }
  rows.push(...(await runClientRows('core', settings)));
  return rows;
}

/** `ray microbenchmark`, as far as there is something to measure, and what creating actors costs. */
export const coreSuite: Suite = { parts: () => coreParts, run };
