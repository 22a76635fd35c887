import { createMetrics, type Metrics } from '@manta/sdk/telemetry';

/** From half a millisecond, an embedding that is in the cache of everything, to ten minutes, a long generation. */
const SECONDS_BUCKETS = [
  0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 60, 120, 600,
];
const OVERHEAD_BUCKETS = [0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.05, 0.1];

/** The gateway's counters. Labels are routes and models that exist, never what a client sent: the set stays small. */
export class GatewayMetrics {
  readonly #metrics: Metrics;
  readonly #requests;
  readonly #refused;
  readonly #seconds;
  readonly #overhead;
  readonly #ongoing;
  readonly #sockets;
  readonly #tokens;

  constructor(metrics: Metrics = createMetrics('manta_gateway', { processMetrics: true })) {
    this.#metrics = metrics;
    this.#requests = metrics.counter({
      name: 'requests_total',
      help: 'Requests answered; status 499: the client left first',
      labels: ['route', 'method', 'status'],
    });
    this.#refused = metrics.counter({
      name: 'requests_refused_total',
      help: 'Requests that the HTTP parser refused: no HTTP, too large a head, too slow',
      labels: ['status'],
    });
    this.#seconds = metrics.histogram({
      name: 'request_duration_seconds',
      help: 'From the request head to the end of the answer',
      labels: ['route'],
      buckets: SECONDS_BUCKETS,
    });
    this.#overhead = metrics.histogram({
      name: 'overhead_seconds',
      help: 'Time until the answer began, without the time that the model took',
      labels: ['route'],
      buckets: OVERHEAD_BUCKETS,
    });
    this.#ongoing = metrics.gauge({ name: 'requests_ongoing', help: 'Requests being served' });
    this.#sockets = metrics.gauge({ name: 'websockets_open', help: 'WebSockets that are open' });
    this.#tokens = metrics.counter({
      name: 'tokens_total',
      help: 'Tokens that models read (prompt) and wrote (completion)',
      labels: ['model', 'kind'],
    });
  }

  get contentType(): string {
    return this.#metrics.contentType;
  }

  text(): Promise<string> {
    return this.#metrics.text();
  }

  requestBegan(): void {
    this.#ongoing.inc();
  }

  requestEnded(route: string, method: string, status: number, durationMs: number): void {
    this.#ongoing.dec();
    this.#requests.inc({ route, method, status });
    this.#seconds.observe({ route }, durationMs / 1000);
  }

  requestRefused(status: number): void {
    this.#refused.inc({ status });
  }

  overhead(route: string, overheadMs: number): void {
    this.#overhead.observe({ route }, overheadMs / 1000);
  }

  tokens(model: string, promptTokens: number, completionTokens: number): void {
    this.#tokens.inc({ model, kind: 'prompt' }, promptTokens);
    this.#tokens.inc({ model, kind: 'completion' }, completionTokens);
  }

  socketOpened(): void {
    this.#sockets.inc();
  }

  socketClosed(): void {
    this.#sockets.dec();
  }
}
