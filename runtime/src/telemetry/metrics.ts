import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';
import { InvalidArgumentError } from '../errors/errors.ts';

export interface MetricOptions<Label extends string> {
  /** Without the prefix, unit last: 'calls_total', 'call_seconds'. */
  name: string;
  help: string;
  labels?: readonly Label[];
}

export interface GaugeOptions<Label extends string> extends MetricOptions<Label> {
  /** Called at each scrape to set the gauge. */
  collect?: (gauge: Gauge<Label>) => void;
}

export interface HistogramOptions<Label extends string> extends MetricOptions<Label> {
  /** Upper bounds, ascending. Default: `LATENCY_BUCKETS_SECONDS`. */
  buckets?: readonly number[];
}

/** From 100 µs, an actor call on one machine, to 60 s, a long generation. */
export const LATENCY_BUCKETS_SECONDS = [
  0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
  30, 60,
] as const;

/**
 * The metrics of one component in a registry of its own: two in one process (a test cluster) never clash. Declaring a
 * metric again gives the one that exists.
 * @throws InvalidArgumentError when it exists as another type, or with other labels.
 */
export interface Metrics {
  counter<Label extends string = never>(options: MetricOptions<Label>): Counter<Label>;
  gauge<Label extends string = never>(options: GaugeOptions<Label>): Gauge<Label>;
  histogram<Label extends string = never>(options: HistogramOptions<Label>): Histogram<Label>;
  readonly registry: Registry;
  /** What a scrape answers, with `contentType`. */
  text(): Promise<string>;
  readonly contentType: string;
}

export interface MetricsOptions {
  /** Also CPU, memory, garbage collection and event loop delay of this process. Default false. */
  processMetrics?: boolean;
  /** Labels on every metric, for example `{ node: 'n_…' }`. */
  labels?: Record<string, string>;
}

/** `prefix` without a trailing underscore: 'manta_head'. */
export function createMetrics(prefix: string, options: MetricsOptions = {}): Metrics {
  const registry = new Registry();
  if (options.labels !== undefined) registry.setDefaultLabels(options.labels);
  if (options.processMetrics === true)
    collectDefaultMetrics({ register: registry, prefix: `${prefix}_` });
  const labelsOf = new Map<string, string>();

  const declare = <M>(
    type: new (configuration: never) => M,
    metric: MetricOptions<string>,
    extra: object,
  ): M => {
    const name = `${prefix}_${metric.name}`;
    const labelNames = [...(metric.labels ?? [])];
    const existing = registry.getSingleMetric(name);
    if (existing === undefined) {
      labelsOf.set(name, labelNames.join());
      return new type({
        name,
        help: metric.help,
        labelNames,
        registers: [registry],
        ...extra,
      } as never);
    }
    if (!(existing instanceof type) || labelsOf.get(name) !== labelNames.join()) {
      throw new InvalidArgumentError(
        `metric ${name} exists already, with another type or other labels`,
      );
    }
    return existing;
  };

  return {
    registry,
    contentType: registry.contentType,
    text: () => registry.metrics(),
    counter: <Label extends string>(metric: MetricOptions<Label>) =>
      declare(Counter<Label>, metric, {}),
    gauge<Label extends string>(metric: GaugeOptions<Label>) {
      const { collect } = metric;
      if (collect === undefined) return declare(Gauge<Label>, metric, {});
      return declare(Gauge<Label>, metric, {
        collect(this: Gauge<Label>) {
          collect(this);
        },
      });
    },
    histogram: <Label extends string>(metric: HistogramOptions<Label>) =>
      declare(Histogram<Label>, metric, {
        buckets: [...(metric.buckets ?? LATENCY_BUCKETS_SECONDS)],
      }),
  };
}
