import { describe, expect, test } from 'vitest';
import { decadesAround, renderChart } from './chart.ts';
import { sampleReport } from './fixtures.ts';

const widthsOf = (svg: string, colour: string): number[] =>
  [...svg.matchAll(new RegExp(`width="([\\d.]+)" height="13" fill="${colour}"`, 'g'))].map(
    (match) => Number(match[1]),
  );

describe('the chart', () => {
  const svg = renderChart(sampleReport);

  test('is well-formed: every tag is closed and text is escaped', () => {
    expect(svg).toContain('Processor &lt;X&gt; &amp; Co');
    const opened = [...svg.matchAll(/<(svg|text|rect|line)\b[^>]*[^/]>/g)].map((match) => match[1]);
    const closed = [...svg.matchAll(/<\/(svg|text)>/g)].map((match) => match[1]);
    expect(opened.toSorted()).toEqual(closed.toSorted());
  });

  test('has a panel per unit that says which way is better', () => {
    expect(svg).toContain('call/s (more is better, logarithmic)');
    expect(svg).toContain('ms (less is better, logarithmic)');
  });

  test('draws a bar for each figure, its length by the logarithm', () => {
    const [sync = 0, batched = 0] = widthsOf(svg, '#0b6e99');
    const [raySync = 0, rayBatched = 0] = widthsOf(svg, '#e07b39');
    const perDecade = (sync - raySync) / Math.log10(12_000 / 1_250);
    expect((batched - rayBatched) / Math.log10(900_000 / 6_000)).toBeCloseTo(perDecade, 0);
    expect(widthsOf(svg, '#b9c2c9')).toHaveLength(2);
  });

  test('a figure of zero has no bar and breaks nothing', () => {
    const rows = sampleReport.rows.map((row) => ({ ...row, value: 0, peers: {} }));
    const empty = renderChart({ ...sampleReport, rows });
    expect(widthsOf(empty, '#0b6e99')).toEqual([]);
    expect(empty).not.toContain('NaN');
    expect(empty).not.toContain('Infinity');
  });

  test('axes span whole decades and never nothing', () => {
    expect(decadesAround([20, 3_000])).toEqual({ from: 1, to: 4 });
    expect(decadesAround([100])).toEqual({ from: 1, to: 2 });
    expect(decadesAround([0.5])).toEqual({ from: -1, to: 0 });
  });
});
