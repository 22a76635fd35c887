import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { HeadServer } from './head-server.ts';
import { renderMetrics } from './metrics.ts';

export interface MetricsEndpoint {
  readonly url: string;
  close(): Promise<void>;
}

/** Serves what Prometheus scrapes. @throws when the port is taken. */
export async function serveMetrics(
  head: HeadServer,
  host: string,
  port: number,
): Promise<MetricsEndpoint> {
  const server = createServer((request, response) => answer(head, request, response));
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
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

function answer(head: HeadServer, request: IncomingMessage, response: ServerResponse): void {
  if (request.method !== 'GET' || request.url?.split('?')[0] !== '/metrics') {
    response.writeHead(404).end();
    return;
  }
  response.writeHead(200, { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' });
  response.end(renderMetrics(head));
}
