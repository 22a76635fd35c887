import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { ClusterUnavailableError } from '@manta/runtime/errors/errors';
import type { BrokerStats } from '@manta/runtime/broker/broker-options';
import { tokenMatches } from '@manta/runtime/broker/connect-options';
import type { Metrics } from '@manta/runtime/telemetry/metrics';
import type { HeadServer } from './head-server.ts';
import { addBrokerMetrics } from './broker-metrics.ts';
import { createHeadMetrics } from './metrics.ts';

export interface MetricsEndpoint {
  readonly url: string;
  close(): Promise<void>;
}

export interface MetricsEndpointOptions {
  head: HeadServer;
  /** Of the embedded broker; absent: there is none. */
  brokerStats: (() => BrokerStats) | undefined;
  host: string;
  port: number;
  /** What a scrape must bring: `authorization: Bearer TOKEN`. */
  token: string;
  /** Of its certificate, in PEM; absent: plain HTTP. */
  tls?: { cert: string; key: string } | undefined;
}

/** Serves what Prometheus scrapes. @throws ClusterUnavailableError when it cannot listen there. */
export async function serveMetrics(options: MetricsEndpointOptions): Promise<MetricsEndpoint> {
  const { head, brokerStats, host, port, token, tls } = options;
  const metrics = createHeadMetrics(head);
  if (brokerStats !== undefined) addBrokerMetrics(metrics, brokerStats);
  const listener = (request: IncomingMessage, response: ServerResponse): void => {
    answer(metrics, token, request, response).catch(() => response.destroy());
  };
  const server = tls === undefined ? createServer(listener) : createSecureServer(tls, listener);
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) => {
      const message = `The head cannot serve metrics at ${host}:${port}.`;
      reject(new ClusterUnavailableError(message, { cause }));
    });
    server.listen(port, host, resolve);
  });
  const address = server.address() as AddressInfo;
  return {
    url: `http${tls === undefined ? '' : 's'}://${host.includes(':') ? `[${host}]` : host}:${address.port}/metrics`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function answer(
  metrics: Metrics,
  token: string,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  if (request.method !== 'GET' || request.url?.split('?')[0] !== '/metrics') {
    response.writeHead(404).end();
    return;
  }
  const given = /^Bearer (.+)$/i.exec(request.headers.authorization ?? '')?.[1];
  if (!tokenMatches(token, given)) {
    response.writeHead(401, { 'www-authenticate': 'Bearer' }).end();
    return;
  }
  const text = await metrics.text();
  response.writeHead(200, { 'content-type': metrics.contentType }).end(text);
}
