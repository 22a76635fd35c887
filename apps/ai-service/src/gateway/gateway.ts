import type { ApiKey } from './api-key.ts';
import { Exchange, requestIdFor, type FailureFormat, type GatewayLife } from './exchange.ts';
import { failureOf } from './failure.ts';
import type { GatewayMetrics } from './gateway-metrics.ts';
import type {
  HttpHandler,
  HttpRequest,
  UpgradeDecision,
  UpgradeHandler,
} from './http/http-server.ts';
import type { Logger } from './logger.ts';
import type { ModelRegistry } from './model-registry.ts';
import { RequestError } from './request-error.ts';
import { type Route, type RouteMatch, Router } from './router.ts';
import { openInferenceFailure } from './routes/open-inference.ts';
import { openAiFailure } from './routes/openai-failure.ts';
import { routeTable } from './routes/table.ts';
import { WebSocketSession } from './web-socket-session.ts';

export interface GatewayOptions {
  registry: ModelRegistry;
  apiKey: ApiKey;
  metrics: GatewayMetrics;
  logger: Logger;
  /** Of the service, for `/v2`. */
  version: string;
  /** `/metrics` without a key. Default false. */
  openMetrics?: boolean;
}

const WEB_SOCKET_PATH = '/v1/ws';

/** Between the HTTP server and the models: routes, keys, request ids, counters. */
export class Gateway {
  readonly #options: GatewayOptions;
  readonly #router: Router;
  readonly #life: GatewayLife = { isStopping: false };

  constructor(options: GatewayOptions) {
    this.#options = options;
    this.#router = new Router(
      routeTable({ ...options, openMetrics: options.openMetrics ?? false }),
    );
  }

  /** What streams from now on ends with an error instead of being cut. */
  stop(): void {
    this.#life.isStopping = true;
  }

  /** For `HttpServerOptions.handler`. */
  readonly handle: HttpHandler = async (request, response) => {
    const { metrics } = this.#options;
    metrics.requestBegan();
    const match = findRoute(this.#router, request.path);
    const route = match instanceof RequestError ? undefined : match?.route;
    const format = route?.failureFormat ?? formatBelow(request.path);
    const exchange = new Exchange(request, response, format, this.#life);
    try {
      await this.#serve(exchange, match);
    } catch (error) {
      this.#fail(exchange, error);
    }
    const name = route?.name ?? 'unknown';
    metrics.requestEnded(name, knownMethod(request.method), exchange.status, exchange.elapsedMs);
    if (exchange.overheadMs !== undefined) metrics.overhead(name, exchange.overheadMs);
    const { model, usage } = exchange;
    if (model !== undefined && usage !== undefined) {
      metrics.tokens(model.id, usage.promptTokens, usage.completionTokens);
    }
  };

  /** For `HttpServerOptions.onRefused`. */
  readonly refused = (status: number): void => this.#options.metrics.requestRefused(status);

  /** For `HttpServerOptions.upgrade`. */
  readonly upgrade: UpgradeHandler = (request): UpgradeDecision => {
    if (request.path !== WEB_SOCKET_PATH) {
      return refuseUpgrade(
        request,
        new RequestError(404, `no WebSocket is served at ${request.path}`),
      );
    }
    if (!this.#options.apiKey.accepts(request.header('authorization'))) {
      return refuseUpgrade(request, missingKey());
    }
    const { metrics, registry, logger } = this.#options;
    return {
      accept: (socket) => {
        metrics.socketOpened();
        return new WebSocketSession(socket, registry, {
          closed: () => metrics.socketClosed(),
          requestBegan: () => metrics.requestBegan(),
          requestEnded: ({ type, status, durationMs, error, model, usage }) => {
            metrics.requestEnded(`${WEB_SOCKET_PATH} ${type}`, 'WS', status, durationMs);
            if (usage !== undefined && model !== undefined) {
              metrics.tokens(model.id, usage.promptTokens, usage.completionTokens);
            }
            if (status >= 500)
              logger.error({ err: error, type }, 'a request on a WebSocket failed');
          },
        });
      },
    };
  };

  #serve(exchange: Exchange, match: RouteMatch | RequestError | undefined): void | Promise<void> {
    const { request } = exchange;
    if (match instanceof RequestError) throw match;
    if (request.method === 'OPTIONS') return answerOptions(exchange, match?.route);
    if (
      match?.route.open !== true &&
      !this.#options.apiKey.accepts(request.header('authorization'))
    ) {
      throw missingKey();
    }
    if (match === undefined) throw unknownPath(request);
    const { route, captures } = match;
    const method = request.method === 'HEAD' ? 'GET' : request.method;
    const handler = Object.hasOwn(route.methods, method) ? route.methods[method] : undefined;
    if (handler !== undefined) return handler(exchange, captures);
    const allow = allowedMethods(route);
    throw new RequestError(405, `${request.path} takes ${allow}, not ${request.method}`, { allow });
  }

  #fail(exchange: Exchange, error: unknown): void {
    const left = exchange.request.signal.aborted;
    if (left) {
      exchange.status = 499;
      return;
    }
    exchange.fail(error);
    if (exchange.status < 500) return;
    const { requestId, request, status } = exchange;
    this.#options.logger.error(
      { err: error, requestId, path: request.path, status },
      'a request failed',
    );
  }
}

/** The form of failures where nothing is served. */
function formatBelow(path: string): FailureFormat {
  return path === '/v2' || path.startsWith('/v2/') ? openInferenceFailure : openAiFailure;
}

/** A path that is not valid percent-encoding is the client's fault. */
function findRoute(router: Router, path: string): RouteMatch | RequestError | undefined {
  try {
    return router.find(path);
  } catch {
    return new RequestError(400, `the path is not valid percent-encoding: ${path}`);
  }
}

function missingKey(): RequestError {
  return new RequestError(401, 'a valid API key is required: Authorization: Bearer <key>', {
    code: 'invalid_api_key',
  });
}

function unknownPath(request: HttpRequest): RequestError {
  return new RequestError(404, `nothing is served at ${request.method} ${request.path}`);
}

/** A CORS preflight learns the methods and gets no leave: browsers of other origins stay out. */
function answerOptions(exchange: Exchange, route: Route | undefined): void {
  exchange.status = 204;
  exchange.response.send(204, {
    allow: route === undefined ? 'OPTIONS' : allowedMethods(route),
    'x-request-id': exchange.requestId,
  });
}

function allowedMethods(route: Route): string {
  const methods = Object.keys(route.methods);
  if (methods.includes('GET')) methods.push('HEAD');
  return [...methods, 'OPTIONS'].join(', ');
}

const METHODS = new Set(['GET', 'POST', 'HEAD', 'OPTIONS', 'PUT', 'DELETE', 'PATCH']);

function knownMethod(method: string): string {
  return METHODS.has(method) ? method : 'other';
}

function refuseUpgrade(
  request: Parameters<UpgradeHandler>[0],
  error: RequestError,
): UpgradeDecision {
  const failure = failureOf(error);
  return {
    status: failure.status,
    headers: {
      'content-type': 'application/json',
      'x-request-id': requestIdFor(request),
      ...(failure.status === 401 && { 'www-authenticate': 'Bearer' }),
    },
    body: JSON.stringify(openAiFailure(failure)),
  };
}
