import { judge } from './goals.ts';
import { formatQuantity, formatRatio } from './number-format.ts';
import { type Report, type Row, ratioTo, unsteadiness } from './report.ts';

/** A table for the terminal: our figure, the limit and each peer, with how many times better ours is. */
export function renderTable(report: Report): string {
  const peers = [...new Set(report.rows.flatMap((row) => Object.keys(row.peers)))];
  const header = ['row', 'manta', '±', 'unit', 'limit', '/limit'];
  for (const peer of peers) header.push(peer, `/${peer}`);
  const lines = [[...header, 'goals'], ...report.rows.map((row) => cellsOf(row, peers, report))];
  const table = alignColumns(lines);
  const facts = [machineLine(report), ...peerVersions(report.rows, peers)];
  return [...facts, ...steadinessLines(report), '', ...table].join('\n');
}

function cellsOf(row: Row, peers: readonly string[], { quick, rows }: Report): string[] {
  const cells = [row.name, formatQuantity(row.value), formatQuantity(row.sd), row.unit];
  cells.push(...comparison(row, row.limit?.value));
  for (const peer of peers) cells.push(...comparison(row, row.peers[peer]?.value));
  const judged = quick ? [] : judge(row, rows);
  const verdicts = judged.map(({ met, text }) => `${met ? '✓' : '✗'} ${text}`);
  return [...cells, verdicts.join(', ')];
}

function comparison(row: Row, other: number | undefined): [string, string] {
  if (other === undefined) return ['', ''];
  return [formatQuantity(other), formatRatio(ratioTo(row, other))];
}

/** First and last column to the left, figures to the right. */
function alignColumns(lines: readonly string[][]): string[] {
  const columns = lines[0]?.length ?? 0;
  const widths = Array.from({ length: columns }, (_, column) =>
    Math.max(...lines.map((cells) => cells[column]?.length ?? 0)),
  );
  return lines.map((cells) =>
    cells
      .map((cell, column) => {
        const width = widths[column] ?? 0;
        return column === 0 || column === columns - 1 ? cell.padEnd(width) : cell.padStart(width);
      })
      .join('  ')
      .trimEnd(),
  );
}

export function machineLine({ machine, quick }: Report): string {
  const memory = `${(machine.memoryBytes / 2 ** 30).toFixed(0)} GiB`;
  const facts = [
    machine.cpu,
    `${machine.cores} cores`,
    memory,
    `Node ${machine.nodeVersion}`,
    machine.date,
  ];
  return `${facts.join(' · ')}${quick ? ' · QUICK RUN, figures mean nothing' : ''}`;
}

export function peerVersions(rows: readonly Row[], peers: readonly string[]): string[] {
  return peers.map((peer) => {
    const version = rows.find((row) => row.peers[peer] !== undefined)?.peers[peer]?.version;
    return `${peer} ${version ?? ''}`.trimEnd();
  });
}

/** Above this the ratios to peers say more about the neighbours than about the systems. */
const unsteadyFrom = 1.3;

function steadinessLines({ steadiness, quick }: Report): string[] {
  if (quick || steadiness.length === 0) return [];
  const checks = steadiness.map(
    ({ when, syncPerSecond, batchedPerSecond }) =>
      `${when} ${formatQuantity(syncPerSecond)} and ${formatQuantity(batchedPerSecond)}`,
  );
  const lines = [`bare echo per second, one at a time and in batches: ${checks.join(', ')}`];
  const spread = unsteadiness(steadiness);
  if (spread >= unsteadyFrom) {
    lines.push(
      `UNSTEADY MACHINE: the bare echo itself varied by ${formatRatio(spread)} during the run; do not trust ratios to peers`,
    );
  }
  return lines;
}
