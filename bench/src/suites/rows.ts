import { type AnyActorHandle, kill, ready } from '@manta/sdk';
import { type Contender, contenderOf, measureTogether, type Workload } from '../harness/timeit.ts';
import { mean, median, standardDeviation } from '../harness/statistics.ts';
import type { Row } from '../report/report.ts';
import type { SuiteSettings } from './suite.ts';

export interface PreparedRow extends Workload {
  /** Waited for before the first round, ended after the last. */
  actors?: AnyActorHandle[];
}

/** The bare machine at the same work; it is measured round by round beside ours. */
export interface Limit extends AsyncDisposable {
  contender: Contender;
}

/** A row of `ray microbenchmark`: something that is repeated for a while. */
export interface TimedRow {
  name: string;
  unit: string;
  prepare(): PreparedRow | Promise<PreparedRow>;
  limit?: { name: string; start(): Limit | Promise<Limit> };
}

/** Something that is done a few times, each time as a whole. */
export interface MeasuredRow {
  name: string;
  unit: string;
  /** Figures of the single times, in the row's unit; the median stands in the report, for a rate the mean. */
  measure(settings: SuiteSettings): Promise<{ samples: number[]; limit?: Row['limit'] }>;
}

export async function runTimedRows(
  suite: string,
  rows: readonly TimedRow[],
  settings: SuiteSettings,
): Promise<Row[]> {
  const done: Row[] = [];
  for (const definition of rows) {
    if (!settings.wants(definition.name)) continue;
    const row = await runTimedRow(suite, definition, settings);
    settings.onRow(row);
    done.push(row);
  }
  return done;
}

async function runTimedRow(
  suite: string,
  definition: TimedRow,
  settings: SuiteSettings,
): Promise<Row> {
  const { name, unit, limit } = definition;
  const prepared = await definition.prepare();
  const actors = prepared.actors ?? [];
  await Promise.all(actors.map((actor) => ready(actor)));
  const ours = contenderOf(prepared);
  await using bare = await limit?.start();
  const contenders = bare === undefined ? [ours] : [ours, bare.contender];
  const [summary, bareSummary] = await measureTogether(contenders, settings.timing);
  await Promise.all(actors.map((actor) => kill(actor)));
  if (summary === undefined) throw new Error(`${name} gave no figure`);
  const row: Row = { suite, name, unit, ...summary, peers: {} };
  return limit && bareSummary ? { ...row, limit: { name: limit.name, ...bareSummary } } : row;
}

export async function runMeasuredRows(
  suite: string,
  rows: readonly MeasuredRow[],
  settings: SuiteSettings,
): Promise<Row[]> {
  const done: Row[] = [];
  for (const definition of rows) {
    const { name, unit } = definition;
    if (!settings.wants(name)) continue;
    const { samples, limit } = await definition.measure(settings);
    const value = unit.endsWith('/s') ? mean(samples) : median(samples);
    const row: Row = { suite, name, unit, value, sd: standardDeviation(samples), peers: {} };
    if (limit !== undefined) row.limit = limit;
    settings.onRow(row);
    done.push(row);
  }
  return done;
}

/** Milliseconds of each of `times` runs. */
export async function timesOf(times: number, run: () => PromiseLike<unknown>): Promise<number[]> {
  const samples: number[] = [];
  for (let index = 0; index < times; index++) {
    const start = performance.now();
    await run();
    samples.push(performance.now() - start);
  }
  return samples;
}
