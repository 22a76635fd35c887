import { describe, expect, test } from 'vitest';
import { sampleReport } from './fixtures.ts';
import { judge } from './goals.ts';
import { formatQuantity, formatRatio } from './number-format.ts';
import { ratioTo, withPeer, type Row } from './report.ts';
import { renderTable } from './table.ts';

const [syncRow, , creationRow] = sampleReport.rows as [Row, Row, Row];

describe('ratios', () => {
  test('say how many times better, for rates and for durations', () => {
    expect(ratioTo(syncRow, 1_200)).toBe(10);
    expect(ratioTo(creationRow, 82.5)).toBe(10);
  });
});

describe('a peer', () => {
  test('is added to the rows it has and leaves the others alone', () => {
    const report = {
      version: '1.0',
      rows: { '1_1_actor_calls_sync': { value: 5, sd: 1, unit: 'call/s' } },
    };
    const [first, second] = withPeer(sampleReport.rows, 'other', report);
    expect(first?.peers['other']).toEqual({ value: 5, sd: 1, version: '1.0' });
    expect(Object.keys(first?.peers ?? {})).toEqual(['ray', 'moleculer', 'other']);
    expect(second?.peers['other']).toBeUndefined();
  });

  test('with another unit is refused', () => {
    const report = {
      version: '1.0',
      rows: { '1_1_actor_calls_sync': { value: 5, sd: 1, unit: 'ms' } },
    };
    expect(() => withPeer(sampleReport.rows, 'other', report)).toThrow('in ms, we in call/s');
  });
});

describe('goals', () => {
  test('are judged against the limit and each peer that ran', () => {
    expect(judge(syncRow, [])).toEqual([
      { text: 'limit ≥ 0.75×', met: true },
      { text: 'ray ≥ 8×', met: true },
      { text: 'moleculer ≥ 1.2×', met: false },
    ]);
    expect(judge({ ...syncRow, peers: {} }, [])).toHaveLength(1);
  });

  test('with a bound are judged in the unit of the row', () => {
    expect(judge(creationRow, [])).toEqual([{ text: '≤ 10 ms', met: true }]);
    expect(judge({ ...creationRow, value: 11 }, [])[0]?.met).toBe(false);
  });

  test('can refer to another row of the run', () => {
    const asynchronous = { ...syncRow, name: '1_1_async_actor_calls_sync', value: 10_000 };
    const verdict = { text: '1_1_actor_calls_sync ≥ 0.9×', met: false };
    expect(judge(asynchronous, [syncRow])).toEqual([verdict]);
    expect(judge({ ...asynchronous, value: 11_000 }, [syncRow])[0]?.met).toBe(true);
    expect(judge(asynchronous, [])).toEqual([]);
  });

  test('a row without a goal has no verdict', () => {
    expect(judge({ ...syncRow, name: 'some_other_row' }, [])).toEqual([]);
  });
});

describe('numbers', () => {
  test.each([
    [0, '0'],
    [0.01234, '0.0123'],
    [1, '1.00'],
    [9.994, '9.99'],
    [9.996, '10.0'],
    [99.96, '100'],
    [1234, '1234'],
    [9_994, '9994'],
    [9_996, '10.0 k'],
    [12_345, '12.3 k'],
    [999_600, '1.00 M'],
    [1_650_000, '1.65 M'],
  ])('%d is written %s', (value, text) => {
    expect(formatQuantity(value)).toBe(text);
  });

  test('ratios carry a times sign', () => {
    expect(formatRatio(0.8)).toBe('0.8×');
    expect(formatRatio(112.4)).toBe('112×');
  });
});

describe('the table', () => {
  const lines = renderTable(sampleReport).split('\n');

  test('names machine and versions of peers', () => {
    expect(lines[0]).toContain('2 cores · 24 GiB · Node v20.19.0');
    expect(lines.slice(1, 3)).toEqual(['ray 2.60.0', 'moleculer 0.14.36']);
  });

  test('has ratios to the limit and to each peer, and verdicts', () => {
    const row = lines.find((line) => line.startsWith('1_1_actor_calls_sync'));
    expect(row?.split(/ {2,}/)).toEqual([
      '1_1_actor_calls_sync',
      '12.0 k',
      '300',
      'call/s',
      '15.0 k',
      '0.8×',
      '1250',
      '9.60×',
      '12.5 k',
      '0.96×',
      '✓ limit ≥ 0.75×, ✓ ray ≥ 8×, ✗ moleculer ≥ 1.2×',
    ]);
  });

  test('leaves blank what was not measured and keeps its columns aligned', () => {
    const header = lines.find((line) => line.startsWith('row')) ?? '';
    const creation = lines.find((line) => line.startsWith('actor_create')) ?? '';
    const rayColumnEnd = header.indexOf(' ray') + 4;
    expect(creation.slice(0, rayColumnEnd).endsWith(' 429')).toBe(true);
    expect(creation).toContain('52.0×');
  });

  test('shows the bare echo through the run and warns when the machine was not the same', () => {
    expect(lines[3]).toBe(
      'bare echo per second, one at a time and in batches: before 15.0 k and 1.70 M, after core 14.0 k and 1.65 M',
    );
    expect(lines[4]).toBe('');
    const later = { when: 'after ray', syncPerSecond: 70_000, batchedPerSecond: 1_700_000 };
    const unsteady = { ...sampleReport, steadiness: [...sampleReport.steadiness, later] };
    expect(renderTable(unsteady)).toContain(
      'UNSTEADY MACHINE: the bare echo itself varied by 5.00×',
    );
  });

  test('a quick run says that it means nothing', () => {
    const table = renderTable({ ...sampleReport, quick: true });
    expect(table).toContain('QUICK RUN');
    expect(table).not.toMatch(/[✓✗]/);
  });
});
