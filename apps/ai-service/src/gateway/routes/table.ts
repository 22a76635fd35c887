import type { GatewayMetrics } from '../gateway-metrics.ts';
import type { ModelRegistry, ServedModel } from '../model-registry.ts';
import type { Route, RouteHandler } from '../router.ts';
import {
  findModel,
  inferRoute,
  modelMetadata,
  modelReady,
  openInferenceFailure,
  serverHealth,
  serverMetadata,
} from './open-inference.ts';
import { createChatCompletion } from './openai-chat.ts';
import { createCompletion } from './openai-completions.ts';
import { createEmbeddings } from './openai-embeddings.ts';
import { openAiFailure } from './openai-failure.ts';
import { getModel, listModels } from './openai-models.ts';

export interface RouteContext {
  registry: ModelRegistry;
  metrics: GatewayMetrics;
  version: string;
  /** Prometheus may read `/metrics` without a key. */
  openMetrics: boolean;
}

export function routeTable(context: RouteContext): Route[] {
  return [...probeRoutes(context), ...openAiRoutes(context), ...openInferenceRoutes(context)];
}

/** Ready means: every model can answer. */
function ready(registry: ModelRegistry): boolean {
  const models = registry.list();
  return models.length > 0 && models.every((model) => model.ready);
}

function probeRoutes({ registry, metrics, openMetrics }: RouteContext): Route[] {
  const failureFormat = openAiFailure;
  return [
    {
      name: '/healthz',
      path: '/healthz',
      open: true,
      failureFormat,
      methods: { GET: (exchange) => exchange.sendJson(200, { status: 'ok' }) },
    },
    {
      name: '/readyz',
      path: '/readyz',
      open: true,
      failureFormat,
      methods: {
        GET: (exchange) => {
          const waiting = registry.list().filter((model) => !model.ready);
          const status = ready(registry) ? 'ready' : 'starting';
          exchange.sendJson(status === 'ready' ? 200 : 503, {
            status,
            waitingFor: waiting.map((model) => model.id),
          });
        },
      },
    },
    {
      name: '/metrics',
      path: '/metrics',
      open: openMetrics,
      failureFormat,
      methods: {
        GET: async (exchange) => {
          exchange.send(200, await metrics.text(), metrics.contentType);
        },
      },
    },
  ];
}

function openAiRoutes({ registry }: RouteContext): Route[] {
  const post = (path: string, handler: RouteHandler): Route => ({
    name: path,
    path,
    failureFormat: openAiFailure,
    methods: { POST: handler },
  });
  return [
    {
      name: '/v1/models',
      path: '/v1/models',
      failureFormat: openAiFailure,
      methods: { GET: (exchange) => listModels(exchange, registry) },
    },
    post('/v1/embeddings', (exchange) => createEmbeddings(exchange, registry)),
    post('/v1/chat/completions', (exchange) => createChatCompletion(exchange, registry)),
    post('/v1/completions', (exchange) => createCompletion(exchange, registry)),
    {
      name: '/v1/models/{id}',
      path: /^\/v1\/models\/(.+)$/,
      failureFormat: openAiFailure,
      methods: { GET: (exchange, [id = '']) => getModel(exchange, registry, id) },
    },
  ];
}

function openInferenceRoutes({ registry, version }: RouteContext): Route[] {
  const failureFormat = openInferenceFailure;
  const get = (path: string, handler: RouteHandler): Route => ({
    name: path,
    path,
    failureFormat,
    methods: { GET: handler },
  });
  const withModel =
    (
      handler: (exchange: Parameters<RouteHandler>[0], model: ServedModel) => void | Promise<void>,
    ): RouteHandler =>
    (exchange, [name = '', modelVersion]) =>
      handler(exchange, findModel(registry, name, modelVersion));
  const models = '/v2/models/{model}[/versions/{version}]';
  // Names may hold slashes: the suffixes are matched before the bare name.
  const pattern = (suffix: string): RegExp =>
    new RegExp(`^/v2/models/(.+?)(?:/versions/([^/]+))?${suffix}$`);
  return [
    get('/v2', (exchange) => serverMetadata(exchange, version)),
    get('/v2/health/live', (exchange) => serverHealth(exchange, true)),
    get('/v2/health/ready', (exchange) => serverHealth(exchange, ready(registry))),
    {
      name: `${models}/infer`,
      path: pattern('/infer'),
      failureFormat,
      methods: { POST: withModel(inferRoute) },
    },
    {
      name: `${models}/ready`,
      path: pattern('/ready'),
      failureFormat,
      methods: { GET: withModel(modelReady) },
    },
    { name: models, path: pattern(''), failureFormat, methods: { GET: withModel(modelMetadata) } },
  ];
}
