import { ApiKey } from '../api-key.ts';
import { Gateway } from '../gateway.ts';
import { GatewayMetrics } from '../gateway-metrics.ts';
import type { HttpLimits, HttpServer, ListenHttp } from '../http/http-server.ts';
import { listenNode } from '../http/node-adapter.ts';
import { FakeRegistry } from './fake-registry.ts';

export const TEST_KEY = 'sk-manta-test';

export interface ServedGateway extends AsyncDisposable {
  url: string;
  port: number;
  registry: FakeRegistry;
  server: HttpServer;
  gateway: Gateway;
  /** What was logged as an error. */
  errors: unknown[];
  fetch(path: string, init?: RequestInit): Promise<Response>;
  post(path: string, body: unknown, init?: RequestInit): Promise<Response>;
}

/** The whole gateway on a real port with fake models behind it. */
export async function serveGateway(
  options: { listen?: ListenHttp; limits?: Partial<HttpLimits> } = {},
): Promise<ServedGateway> {
  const registry = new FakeRegistry();
  const errors: unknown[] = [];
  const logger = {
    info: () => undefined,
    warn: () => undefined,
    error: (fields: object) => void errors.push(fields),
  };
  const gateway = new Gateway({
    registry,
    apiKey: new ApiKey(TEST_KEY),
    metrics: new GatewayMetrics(),
    logger,
    version: '0.0.0-test',
  });
  const server = await (options.listen ?? listenNode)({
    port: 0,
    handler: gateway.handle,
    upgrade: gateway.upgrade,
    onHandlerError: (error) => errors.push(error),
    onRefused: gateway.refused,
    ...(options.limits === undefined ? {} : { limits: options.limits }),
  });
  const url = `http://127.0.0.1:${server.port}`;
  const withKey = (path: string, init: RequestInit = {}): Promise<Response> => {
    const headers = new Headers(init.headers);
    headers.set('authorization', `Bearer ${TEST_KEY}`);
    return fetch(url + path, { ...init, headers });
  };
  return {
    url,
    port: server.port,
    registry,
    server,
    gateway,
    errors,
    fetch: withKey,
    post: (path, body, init) =>
      withKey(path, {
        method: 'POST',
        body: typeof body === 'string' ? body : JSON.stringify(body),
        ...init,
      }),
    [Symbol.asyncDispose]: () => server.close({ graceMs: 0 }),
  };
}
