import { describe, expect, it } from 'vitest';
import { InvalidArgumentError } from '../errors/errors.ts';
import { createMetrics } from './metrics.ts';

describe('metrics', () => {
  it('counts, gauges and histograms under one prefix', async () => {
    const metrics = createMetrics('manta_test', { labels: { node: 'n_1' } });
    metrics
      .counter({ name: 'calls_total', help: 'Calls.', labels: ['method'] })
      .inc({ method: 'f' }, 2);
    metrics.gauge({ name: 'actors', help: 'Actors.', collect: (gauge) => gauge.set(3) });
    metrics.histogram({ name: 'call_seconds', help: 'Calls.', buckets: [0.1, 1] }).observe(0.5);
    const text = await metrics.text();
    expect(text).toContain('manta_test_calls_total{method="f",node="n_1"} 2');
    expect(text).toContain('manta_test_actors{node="n_1"} 3');
    expect(text).toContain('manta_test_call_seconds_bucket{le="1",node="n_1"} 1');
    expect(metrics.contentType).toContain('text/plain');
  });

  it('declares each metric once', () => {
    const metrics = createMetrics('manta_test');
    const first = metrics.counter({ name: 'calls_total', help: 'Calls.', labels: ['a'] });
    expect(metrics.counter({ name: 'calls_total', help: 'Calls.', labels: ['a'] })).toBe(first);
    expect(() => metrics.gauge({ name: 'calls_total', help: 'Calls.' })).toThrow(
      InvalidArgumentError,
    );
    expect(() => metrics.counter({ name: 'calls_total', help: 'Calls.', labels: ['b'] })).toThrow(
      InvalidArgumentError,
    );
  });

  it('keeps components in one process apart', async () => {
    const [one, two] = [createMetrics('manta_test'), createMetrics('manta_test')];
    one.counter({ name: 'calls_total', help: 'Calls.' }).inc();
    two.counter({ name: 'calls_total', help: 'Calls.' });
    expect(await one.text()).toContain('manta_test_calls_total 1');
    expect(await two.text()).toContain('manta_test_calls_total 0');
  });

  it('gives process metrics when asked', async () => {
    expect(await createMetrics('manta_test', { processMetrics: true }).text()).toContain(
      'manta_test_process_cpu',
    );
    expect(await createMetrics('manta_test').text()).not.toContain('process_cpu');
  });
});
