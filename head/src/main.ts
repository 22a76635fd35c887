import { getRandomValues, randomBytes } from 'node:crypto';
import type { Broker } from '@manta/runtime/broker/broker';
import { createIdMint, parseId, type ClusterId } from '@manta/runtime/ids';
import { systemClock } from '@manta/runtime/time/clock';
import { connectNats } from '@manta/runtime/transport/nats-transport';
import type { Transport } from '@manta/runtime/transport/transport';
import { nodeOfClient } from '@manta/runtime/wire/subjects';
import { silentLogger, type HeadLogger } from './server/head-logger.ts';
import { HeadServer } from './server/head-server.ts';
import type { StateStore } from './store/state-store.ts';

export interface HeadOptions {
  /** Where the embedded broker listens. Default 127.0.0.1. */
  host?: string;
  /** Default: any free port. */
  port?: number;
  /** The cluster's join token: broker and channels ask for it. */
  token: string;
  /** Default: the one in the state directory, else a new one. */
  clusterId?: ClusterId;
  /** Absent: the cluster does not outlive its head. */
  stateDirectory?: string;
  /** The certificate and key of the embedded broker and the metrics page, in PEM; then both take TLS only. */
  tls?: { cert: string; key: string };
  /** Use this NATS server instead of the embedded broker. */
  natsUrl?: string;
  /** From a node's last sign of life to its death. Default 4500. */
  failureDetectionMs?: number;
  logger?: HeadLogger;
  /** Serve Prometheus metrics on this port of `host`, to those who bring the token; 0 chooses one. */
  metricsPort?: number;
  /** The state can no longer be written; the head has stopped answering. Default: an uncaught exception. */
  onFatal?: (error: unknown) => void;
}

export interface RunningHead {
  readonly clusterId: ClusterId;
  readonly epoch: string;
  /** `nats://host:port` of the broker, or `tls://…`. */
  readonly url: string;
  readonly token: string;
  /** Where metrics are, with `metricsPort`. */
  readonly metricsUrl?: string;
  /** For a node in this process: a way to the broker without a socket; undefined with `natsUrl`. */
  readonly connectLocally: ((clientName: string) => Transport) | undefined;
  /** A client of the broker, by the name it gave, is gone. For who runs a broker of his own beside `natsUrl`. */
  clientDisconnected(clientName: string): void;
  /** Nodes and actors go on: they wait for the next head. */
  close(): Promise<void>;
}

/**
 * Starts a head, with a broker of its own unless `natsUrl` is given.
 * @throws ClusterUnavailableError when the broker cannot listen or the NATS server does not answer.
 */
export async function startHead(options: HeadOptions): Promise<RunningHead> {
  const closers: (() => Promise<void>)[] = [];
  const close = async () => {
    for (const closer of closers.splice(0).reverse()) await closer();
  };
  try {
    return await open(options, closers, close);
  } catch (error) {
    await close();
    throw error;
  }
}

async function open(
  options: HeadOptions,
  closers: (() => Promise<void>)[],
  close: () => Promise<void>,
): Promise<RunningHead> {
  const { token } = options;
  const store = await openStore(options, closers);
  const { clusterId, epoch } = await identify(options, store);
  let server: HeadServer | undefined;
  const clientDisconnected = (clientName: string): void => {
    const nodeId = nodeOfClient(clientName);
    if (nodeId !== undefined) server?.nodeDisconnected(nodeId);
  };
  const { url, broker } = await openBus(options, closers, clientDisconnected);
  const name = `head ${clusterId}`;
  const transport =
    broker?.connectLocally(name) ?? (await connectNats({ servers: [url], token, name }));
  closers.push(() => transport.close());
  server = new HeadServer({
    clusterId,
    epoch,
    transport,
    clock: systemClock,
    store,
    logger: options.logger ?? silentLogger,
    settings:
      options.failureDetectionMs === undefined
        ? {}
        : { failureDetectionMs: options.failureDetectionMs },
    onFatal: options.onFatal ?? rethrow,
  });
  await server.start();
  closers.push(() => server.close());
  const connectLocally = broker && ((clientName: string) => broker.connectLocally(clientName));
  const running = { clusterId, epoch, url, token, connectLocally, clientDisconnected, close };
  if (options.metricsPort === undefined) return running;
  const { serveMetrics } = await import('./server/metrics-endpoint.ts');
  const endpoint = await serveMetrics({
    head: server,
    brokerStats: broker && (() => broker.stats()),
    host: options.host ?? '127.0.0.1',
    port: options.metricsPort,
    token,
    tls: options.tls,
  });
  closers.push(() => endpoint.close());
  return { ...running, metricsUrl: endpoint.url };
}

/** Imported only when asked for: the native module costs a private cluster's start time. */
async function openStore(
  options: HeadOptions,
  closers: (() => Promise<void>)[],
): Promise<StateStore | undefined> {
  if (options.stateDirectory === undefined) return undefined;
  const { openLmdbStore } = await import('./store/lmdb-store.ts');
  const store = openLmdbStore(options.stateDirectory);
  closers.push(() => store.close());
  return store;
}

/** The NATS server that was given, or a broker of our own. */
async function openBus(
  options: HeadOptions,
  closers: (() => Promise<void>)[],
  onDisconnected: (clientName: string) => void,
): Promise<{ url: string; broker: Broker | undefined }> {
  if (options.natsUrl !== undefined) return { url: options.natsUrl, broker: undefined };
  const { startBroker } = await import('@manta/runtime/broker/broker');
  const { host = '127.0.0.1', port = 0, token, tls } = options;
  const broker = await startBroker({ host, port, token, ...(tls && { tls }), onDisconnected });
  closers.push(() => broker.close());
  return { url: broker.url, broker };
}

/** The cluster keeps its id over restarts; every start is a new epoch. */
async function identify(
  options: HeadOptions,
  store: StateStore | undefined,
): Promise<{ clusterId: ClusterId; epoch: string }> {
  const meta = new Map(store?.load('meta'));
  const clusterId =
    options.clusterId ??
    parseId('cluster', meta.get('clusterId')) ??
    createIdMint(getRandomValues)('cluster');
  const starts = Number(meta.get('starts') ?? 0) + 1;
  const epoch = `${starts}.${randomBytes(6).toString('hex')}`;
  store?.put('meta', 'clusterId', clusterId);
  store?.put('meta', 'starts', starts);
  await store?.commit();
  return { clusterId, epoch };
}

function rethrow(error: unknown): never {
  throw error;
}
