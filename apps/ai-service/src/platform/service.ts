import { createLogger } from '@manta/sdk/telemetry';
import { ApiKey, apiKeyPath, loadApiKey } from '../gateway/api-key.ts';
import { Gateway } from '../gateway/gateway.ts';
import { GatewayMetrics } from '../gateway/gateway-metrics.ts';
import type { HttpServer } from '../gateway/http/http-server.ts';
import { certificateFacts, readTls, type HttpTls } from '../gateway/http/http-tls.ts';
import { listenHttp } from '../gateway/http/listen.ts';
import { MODEL_CATALOG } from '../models/catalog.ts';
import { LocalCluster } from './local-cluster.ts';
import { ActorModelRegistry } from './model-registry.ts';
import type { Progress } from './progress.ts';

export interface ServiceOptions {
  host: string;
  port: number;
  dataFolder: string;
  nodes: number;
  /** Of each model. */
  replicas: number;
  tls: HttpTls | undefined;
  version: string;
}

const STREAMS_GRACE_MS = 10_000;
/** Streams that are not over are told so this long before the end. */
const LAST_WORDS_MS = 1_000;

/** The service as a whole: gateway, models and the cluster under them. */
export class AiService implements AsyncDisposable {
  readonly url: string;
  readonly keyFile: string;
  /** That clients have to be told to trust; undefined: none, or it is signed by an authority. */
  readonly certificateFile: string | undefined;
  /** Closed in reverse. */
  readonly #parts: (() => Promise<void>)[];
  #closed: Promise<void> | undefined;

  private constructor(
    { url, certificateFile }: Reachable,
    keyFile: string,
    parts: (() => Promise<void>)[],
  ) {
    this.url = url;
    this.certificateFile = certificateFile;
    this.keyFile = keyFile;
    this.#parts = parts;
  }

  /**
   * Listens first, so that a taken port is known at once and probes are answered; resolves when every model answers.
   * @throws AddressInUseError
   */
  static async start(options: ServiceOptions, progress: Progress): Promise<AiService> {
    const logger = createLogger({
      name: 'ai-service',
      level: process.env['MANTA_LOG_LEVEL'] ?? 'warn',
    });
    const parts: (() => Promise<void>)[] = [];
    try {
      const key = await loadApiKey(options.dataFolder);
      const registry = new ActorModelRegistry({ logger, replicasPerModel: options.replicas });
      const gateway = new Gateway({
        registry,
        apiKey: new ApiKey(key),
        metrics: new GatewayMetrics(),
        logger,
        version: options.version,
      });
      const server = await listen(gateway, options, logger);
      parts.push(() => closeServer(server, gateway));
      const cluster = await progress.step(clusterTitle(options.nodes), () =>
        LocalCluster.start({ nodes: options.nodes, cpusNeeded: options.replicas * cpusNeeded() }),
      );
      parts.unshift(() => cluster[Symbol.asyncDispose]());
      parts.splice(1, 0, () => registry[Symbol.asyncDispose]());
      await startModels(registry, progress);
      const reachable = reachableAt(options, server.port);
      return new AiService(reachable, apiKeyPath(options.dataFolder), parts);
    } catch (error) {
      await closeParts(parts);
      throw error;
    }
  }

  /** Lets streams finish for a while, then ends models and cluster. Idempotent. */
  [Symbol.asyncDispose](): Promise<void> {
    return (this.#closed ??= closeParts(this.#parts));
  }
}

async function closeServer(server: HttpServer, gateway: Gateway): Promise<void> {
  const late = setTimeout(() => gateway.stop(), STREAMS_GRACE_MS - LAST_WORDS_MS);
  await server.close({ graceMs: STREAMS_GRACE_MS });
  clearTimeout(late);
}

async function closeParts(parts: readonly (() => Promise<void>)[]): Promise<void> {
  for (const close of parts.toReversed()) await close();
}

function listen(
  gateway: Gateway,
  { host, port, tls }: ServiceOptions,
  logger: ReturnType<typeof createLogger>,
): Promise<HttpServer> {
  return listenHttp(
    {
      host,
      port,
      tls,
      handler: gateway.handle,
      upgrade: gateway.upgrade,
      onRefused: gateway.refused,
      onHandlerError: (error) => logger.error({ err: error }, 'a request could not be handled'),
    },
    logger,
    process.env['MANTA_UWEBSOCKETS'],
  );
}

/** All of them, also when one fails: what it fails with comes when the others are up. */
async function startModels(registry: ActorModelRegistry, progress: Progress): Promise<void> {
  const starts = await Promise.allSettled(
    registry.list().map((model) => progress.step(`model ${model.id}`, () => registry.start(model))),
  );
  const failed = starts.find((start) => start.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
}

function clusterTitle(nodes: number): string {
  return `cluster: head and ${nodes} worker ${nodes === 1 ? 'node' : 'nodes'}`;
}

/** By one replica of each model. */
function cpusNeeded(): number {
  return [...MODEL_CATALOG.values()].reduce((sum, { resources }) => sum + resources.cpus, 0);
}

interface Reachable {
  url: string;
  certificateFile: string | undefined;
}

/** How clients come to what listens there. */
function reachableAt({ host, tls }: ServiceOptions, port: number): Reachable {
  const address = host === '0.0.0.0' || host === '::' ? 'localhost' : host;
  if (tls === undefined)
    return { url: `http://${inUrl(address)}:${port}`, certificateFile: undefined };
  const facts = certificateFacts(readTls(tls).cert, address);
  return {
    url: `https://${inUrl(facts.host)}:${port}`,
    certificateFile: facts.isOwnAuthority ? tls.certificateFile : undefined,
  };
}

const inUrl = (host: string): string => (host.includes(':') ? `[${host}]` : host);
