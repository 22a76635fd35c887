import { formatQuantity } from './number-format.ts';
import { type Report, type Row, lowerIsBetter } from './report.ts';
import { machineLine } from './table.ts';

/** Bars of one row share a group; groups of one unit share a panel with a logarithmic axis. */
const layout = {
  width: 1080,
  margin: 24,
  labelWidth: 300,
  valueWidth: 190,
  barHeight: 13,
  barGap: 2,
  groupGap: 12,
  headHeight: 92,
  panelHeadHeight: 40,
  axisHeight: 26,
} as const;

const colours: Readonly<Record<string, string>> = { manta: '#0b6e99', limit: '#b9c2c9' };
const peerColours = ['#e07b39', '#7a5ea8', '#4c9f70', '#b8435a'];

interface Bar {
  series: string;
  value: number;
  sd: number;
}

interface Series {
  name: string;
  label: string;
  colour: string;
}

/** Draws the report as one SVG document. */
export function renderChart(report: Report): string {
  const series = seriesOf(report.rows);
  const units = [...new Set(report.rows.map((row) => row.unit))];
  const parts: string[] = [...head(report, series)];
  let top: number = layout.headHeight;
  for (const unit of units) {
    const rows = report.rows.filter((row) => row.unit === unit);
    const panel = drawPanel(unit, rows, series, top);
    parts.push(...panel.parts);
    top += panel.height;
  }
  const height = top + layout.margin;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${layout.width}" height="${height}" viewBox="0 0 ${layout.width} ${height}" font-family="Helvetica, Arial, sans-serif" font-size="12">`,
    `<rect width="${layout.width}" height="${height}" fill="#ffffff"/>`,
    ...parts,
    '</svg>',
    '',
  ].join('\n');
}

function seriesOf(rows: readonly Row[]): Series[] {
  const peers = [...new Set(rows.flatMap((row) => Object.keys(row.peers)))];
  const versionOf = (peer: string): string =>
    rows.find((row) => row.peers[peer] !== undefined)?.peers[peer]?.version ?? '';
  return [
    { name: 'manta', label: 'Manta', colour: colours['manta'] ?? '' },
    { name: 'limit', label: 'bare limit of the machine', colour: colours['limit'] ?? '' },
    ...peers.map((peer, index) => ({
      name: peer,
      label: `${peer} ${versionOf(peer)}`,
      colour: peerColours[index % peerColours.length] ?? '',
    })),
  ];
}

function barsOf(row: Row): Bar[] {
  const bars: Bar[] = [{ series: 'manta', value: row.value, sd: row.sd }];
  if (row.limit !== undefined)
    bars.push({ series: 'limit', value: row.limit.value, sd: row.limit.sd ?? 0 });
  for (const [peer, { value, sd }] of Object.entries(row.peers))
    bars.push({ series: peer, value, sd: sd ?? 0 });
  return bars.filter((bar) => bar.value > 0);
}

function head(report: Report, series: readonly Series[]): string[] {
  const { margin } = layout;
  const parts = [
    text(margin, 32, 'Manta benchmarks', { size: 18, weight: 'bold' }),
    text(margin, 52, machineLine(report), { fill: '#5b6770' }),
  ];
  let left: number = margin;
  for (const { label, colour } of series) {
    parts.push(rectangle(left, 66, 12, 12, colour), text(left + 18, 76, label));
    left += 18 + label.length * 6.6 + 26;
  }
  return parts;
}

/** Whole decades around the values, so that the axis starts and ends at a power of ten. */
export function decadesAround(values: readonly number[]): { from: number; to: number } {
  // The smallest needs a bar too, so the axis starts below it also where it is a power of ten itself.
  const from = Math.ceil(Math.log10(Math.min(...values))) - 1;
  const to = Math.ceil(Math.log10(Math.max(...values)));
  return { from, to: Math.max(to, from + 1) };
}

function drawPanel(
  unit: string,
  rows: readonly Row[],
  series: readonly Series[],
  top: number,
): { parts: string[]; height: number } {
  const { margin, labelWidth, valueWidth, width, panelHeadHeight, axisHeight, groupGap } = layout;
  const groups = rows
    .map((row) => ({ row, bars: barsOf(row) }))
    .filter(({ bars }) => bars.length > 0);
  if (groups.length === 0) return { parts: [], height: 0 };
  const { from, to } = decadesAround(groups.flatMap(({ bars }) => bars.map((bar) => bar.value)));
  const axisLeft = margin + labelWidth;
  const axisWidth = width - axisLeft - valueWidth - margin;
  const positionOf = (value: number): number =>
    axisLeft +
    (axisWidth * Math.min(Math.max(Math.log10(value) - from, 0), to - from)) / (to - from);
  const heightOf = (bars: readonly Bar[]): number =>
    bars.length * (layout.barHeight + layout.barGap) + groupGap;
  const bodyHeight = groups.reduce((sum, { bars }) => sum + heightOf(bars), 0);
  const bodyTop = top + panelHeadHeight;
  const direction = lowerIsBetter(unit) ? 'less is better' : 'more is better';
  const parts = [
    text(margin, top + 24, `${unit} (${direction}, logarithmic)`, { size: 13, weight: 'bold' }),
    ...drawAxis(from, to, positionOf, bodyTop, bodyHeight),
  ];
  let groupTop = bodyTop + groupGap / 2;
  for (const { row, bars } of groups) {
    parts.push(...drawGroup(row, bars, series, positionOf, groupTop));
    groupTop += heightOf(bars);
  }
  return { parts, height: panelHeadHeight + bodyHeight + axisHeight };
}

function drawAxis(
  from: number,
  to: number,
  positionOf: (value: number) => number,
  top: number,
  height: number,
): string[] {
  const parts: string[] = [];
  for (let decade = from; decade <= to; decade++) {
    const left = positionOf(10 ** decade).toFixed(1);
    parts.push(
      `<line x1="${left}" y1="${top}" x2="${left}" y2="${top + height}" stroke="#e3e7ea"/>`,
      text(Number(left), top + height + 14, formatQuantity(10 ** decade).replace(/\.0+/, ''), {
        fill: '#5b6770',
        anchor: 'middle',
      }),
    );
  }
  return parts;
}

function drawGroup(
  row: Row,
  bars: readonly Bar[],
  series: readonly Series[],
  positionOf: (value: number) => number,
  top: number,
): string[] {
  const { margin, labelWidth, barHeight, barGap } = layout;
  const axisLeft = margin + labelWidth;
  const middle = top + (bars.length * (barHeight + barGap)) / 2 + 4;
  const parts = [text(axisLeft - 10, middle, row.name, { anchor: 'end' })];
  for (const [index, bar] of bars.entries()) {
    const barTop = top + index * (barHeight + barGap);
    const right = positionOf(bar.value);
    const colour = series.find(({ name }) => name === bar.series)?.colour ?? '#000000';
    const spread = bar.sd > 0 ? ` ± ${formatQuantity(bar.sd)}` : '';
    const weight = bar.series === 'manta' ? 'bold' : 'normal';
    parts.push(
      rectangle(axisLeft, barTop, Math.max(right - axisLeft, 1), barHeight, colour),
      text(right + 6, barTop + barHeight - 3, `${formatQuantity(bar.value)}${spread}`, {
        size: 11,
        weight,
      }),
    );
  }
  return parts;
}

interface TextStyle {
  size?: number;
  weight?: string;
  fill?: string;
  anchor?: string;
}

function text(left: number, baseline: number, content: string, style: TextStyle = {}): string {
  const { size = 12, weight = 'normal', fill = '#1c2830', anchor = 'start' } = style;
  return `<text x="${left.toFixed(1)}" y="${baseline.toFixed(1)}" font-size="${size}" font-weight="${weight}" fill="${fill}" text-anchor="${anchor}">${escapeText(content)}</text>`;
}

function rectangle(left: number, top: number, width: number, height: number, fill: string): string {
  return `<rect x="${left.toFixed(1)}" y="${top.toFixed(1)}" width="${width.toFixed(1)}" height="${height}" fill="${fill}"/>`;
}

function escapeText(content: string): string {
  return content.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
