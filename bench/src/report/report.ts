import type { Machine } from '../harness/machine.ts';

/** Another system's figure for the same workload on the same machine. */
export interface PeerValue {
  value: number;
  sd?: number;
  version: string;
}

export interface Row {
  suite: string;
  /** Ray's key where Ray has the row. */
  name: string;
  unit: string;
  value: number;
  sd: number;
  /** What the bare machine gives for the same exchange, measured in the same run. */
  limit?: { name: string; value: number; sd?: number };
  peers: Record<string, PeerValue>;
}

/** The bare echo at one moment of the run. */
export interface SteadinessCheck {
  when: string;
  syncPerSecond: number;
  batchedPerSecond: number;
}

export interface Report {
  machine: Machine;
  /** True for a run with tiny counts, whose figures mean nothing. */
  quick: boolean;
  /** The bare echo before the first suite and after each. */
  steadiness: SteadinessCheck[];
  rows: Row[];
}

/** Units in which less is better; all others are rates. */
const costUnits: ReadonlySet<string> = new Set(['ms', 'MiB']);

export function lowerIsBetter(unit: string): boolean {
  return costUnits.has(unit);
}

/** How many times better than `other`; above 1 is better than it, whatever the unit's direction. */
export function ratioTo(row: Pick<Row, 'unit' | 'value'>, other: number): number {
  return lowerIsBetter(row.unit) ? other / row.value : row.value / other;
}

export interface PeerReport {
  version: string;
  rows: Record<string, { value: number; sd: number; unit: string }>;
}

/** Adds a peer's figures to the rows of the same name. Throws when the units of a row differ. */
export function withPeer(rows: readonly Row[], peer: string, report: PeerReport): Row[] {
  return rows.map((row) => {
    const theirs = report.rows[row.name];
    if (theirs === undefined) return row;
    if (theirs.unit !== row.unit) {
      throw new Error(`${peer} gives ${row.name} in ${theirs.unit}, we in ${row.unit}`);
    }
    const value = { value: theirs.value, sd: theirs.sd, version: report.version };
    return { ...row, peers: { ...row.peers, [peer]: value } };
  });
}

/** Largest rate over smallest, of the worse of the two kinds; 1 is a perfectly steady machine. */
export function unsteadiness(checks: readonly SteadinessCheck[]): number {
  const spreadOf = (rates: readonly number[]): number =>
    rates.length === 0 ? 1 : Math.max(...rates) / Math.min(...rates);
  return Math.max(
    spreadOf(checks.map((check) => check.syncPerSecond)),
    spreadOf(checks.map((check) => check.batchedPerSecond)),
  );
}
