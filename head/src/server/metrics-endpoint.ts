import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ClusterUnavailableError } from '@manta/runtime/errors/errors';
import type { Metrics } from '@manta/runtime/telemetry/metrics';
import type { HeadServer } from './head-server.ts';
import { createHeadMetrics } from './metrics.ts';

export interface MetricsEndpoint {
  readonly url: string;
  close(): Promise<void>;
}

/** Serves what Prometheus scrapes. @throws ClusterUnavailableError when it cannot listen there. */
export async function serveMetrics(
  head: HeadServer,
  host: string,
  port: number,
): Promise<MetricsEndpoint> {
  const metrics = createHeadMetrics(head);
  const server = createServer((request, response) => void answer(metrics, request, response));
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) => {
      const message = `The head cannot serve metrics at ${host}:${port}.`;
      reject(new ClusterUnavailableError(message, { cause }));
    });
    server.listen(port, host, resolve);
  });
  const address = server.address() as AddressInfo;
  return {
    url: `http://${host.includes(':') ? `[${host}]` : host}:${address.port}/metrics`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function answer(
  metrics: Metrics,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  if (request.method !== 'GET' || request.url?.split('?')[0] !== '/metrics') {
    response.writeHead(404).end();
    return;
  }
  const text = await metrics.text();
  response.writeHead(200, { 'content-type': metrics.contentType }).end(text);
}
