import { Counter, Gauge, Histogram, Registry } from 'prom-client';

const SECONDS_BUCKETS = [
  0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 60, 120, 600,
];

/** The gateway's counters. Labels are routes and models that exist, never what a client sent: the set stays small. */
export class GatewayMetrics {
  readonly registry: Registry;
  readonly #requests: Counter<'route' | 'method' | 'status'>;
  readonly #seconds: Histogram<'route'>;
  readonly #overhead: Histogram<'route'>;
  readonly #ongoing: Gauge;
  readonly #sockets: Gauge;
  readonly #tokens: Counter<'model' | 'kind'>;

  constructor(registry = new Registry()) {
    const registers = [registry];
    this.registry = registry;
    this.#requests = new Counter({
      name: 'manta_gateway_requests_total',
      help: 'Requests answered; status 499: the client left first',
      labelNames: ['route', 'method', 'status'],
      registers,
    });
    this.#seconds = new Histogram({
      name: 'manta_gateway_request_duration_seconds',
      help: 'From the request head to the end of the answer',
      labelNames: ['route'],
      buckets: SECONDS_BUCKETS,
      registers,
    });
    this.#overhead = new Histogram({
      name: 'manta_gateway_overhead_seconds',
      help: 'Time until the answer began, without the time that the model took',
      labelNames: ['route'],
      buckets: [0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.05, 0.1],
      registers,
    });
    this.#ongoing = new Gauge({
      name: 'manta_gateway_requests_ongoing',
      help: 'Requests being served',
      registers,
    });
    this.#sockets = new Gauge({
      name: 'manta_gateway_websockets_open',
      help: 'WebSockets that are open',
      registers,
    });
    this.#tokens = new Counter({
      name: 'manta_gateway_tokens_total',
      help: 'Tokens that models read (prompt) and wrote (completion)',
      labelNames: ['model', 'kind'],
      registers,
    });
  }

  requestBegan(): void {
    this.#ongoing.inc();
  }

  requestEnded(route: string, method: string, status: number, durationMs: number): void {
    this.#ongoing.dec();
    this.#requests.inc({ route, method, status });
    this.#seconds.observe({ route }, durationMs / 1000);
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
