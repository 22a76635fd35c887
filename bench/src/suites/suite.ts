import type { TimingRule } from '../harness/timeit.ts';
import type { Row } from '../report/report.ts';

export interface SuiteSettings {
  timing: TimingRule;
  /** Tiny counts: to see that everything runs. */
  quick: boolean;
  /** Which rows to run. */
  wants: (rowName: string) => boolean;
  /** Told of each row as it is done, and of what was left out. */
  onRow: (row: Row) => void;
  onNote: (note: string) => void;
}

export interface Suite {
  /** All rows in order; those of a part are measured together. Between parts, peers take their turn. */
  parts(settings: SuiteSettings): readonly (readonly string[])[];
  run(settings: SuiteSettings): Promise<Row[]>;
}
