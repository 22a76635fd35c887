import { randomFillSync } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { discoverCluster } from '@manta/runtime/core/head-client';
import { createIdMint, type NodeId } from '@manta/runtime/ids';
import { systemClock } from '@manta/runtime/time/clock';
import { connectNats } from '@manta/runtime/transport/nats-transport';
import type { Transport } from '@manta/runtime/transport/transport';
import { silentLogger, type AgentLogger } from './agent/agent-logger.ts';
import { GatedTransport } from './agent/gated-transport.ts';
import { NodeAgent, type NodeAgentOptions, type NodeFolders } from './agent/node-agent.ts';
import { newIdentity } from './agent/node-identity.ts';
import { fileSpillStorage, type SpillStorage } from './objects/spill-storage.ts';
import { defaultPoolSettings } from './pool/pool-settings.ts';
import { detectNodeResources, type ResourceOptions } from './resources/node-resources.ts';

const HOST_PROGRAM = './host/host-main.js';
const HEARTBEAT_THREAD = './agent/heartbeat-thread.js';
const START_TIMEOUT_MS = 30_000;
/** For actors that work when the node ends: SIGTERM, and SIGKILL after this. */
const STOP_GRACE_MS = 4_000;
const LAST_REPORTS_MS = 500;
/** Making threads and processes stops this one for tens of milliseconds: first whoever waited for the node has its turn. */
const BACKGROUND_DELAY_MS = 100;

export interface NodeOptions extends ResourceOptions {
  /** `nats://host:port` of the broker; several are separated by commas. */
  natsUrl: string;
  /** The agent's own way to a broker in this process; its hosts go by `natsUrl`. */
  connectLocally?: ((clientName: string) => Transport) | undefined;
  token: string;
  /** Default: a new one. */
  nodeId?: NodeId;
  /** Default: the host name. */
  name?: string;
  labels?: Record<string, string>;
  /** This node's session directory; `sockets/`, `logs/` and `cache/` are made in it. Keep the path short. */
  directory: string;
  /** Interface for channels from other machines; absent: Unix sockets only. */
  tcpHost?: string;
  /** URL of the module with the actor that hosts practise with before their first one comes (host/warm-up.ts). */
  practiceModule?: string;
  /**
   * Host processes kept ready. Default: one per CPU, at least two, and more while the node has nothing to do: up to 20,
   * as far as they fit into 5 % of its memory.
   */
  poolSize?: number;
  /** Memory for objects; default: 30 % of the machine's, as far as there is room for it in shared memory. */
  objectStoreBytes?: number;
  /** Where objects go that this memory has no room for, used in turn. Default: `spill/` in `directory`. */
  spillDirectories?: readonly string[];
  /** What that leaves free on each of those disks. Default: 5 % of it, at least 1 GiB; of a small disk a tenth. */
  spillFreeBytesMin?: number;
  /** The disk, for tests. */
  spillStorage?: SpillStorage;
  logger?: AgentLogger;
  /** How long the head is waited for; default 30 s. */
  startTimeoutMs?: number;
  /** Programs to run instead of Manta's own (tests). */
  programs?: { host?: string; hostNodeArguments?: readonly string[]; heartbeatThread?: URL };
}

export interface RunningNode {
  /** Changes when the head had declared the node dead and it joined again. */
  readonly nodeId: NodeId;
  readonly pid: number;
  /** Resolves when the node has ended, by `close` or because the head asked for it. */
  readonly closed: Promise<void>;
  /** Ends all actors (SIGTERM, SIGKILL within 5 s), says goodbye, removes sockets and temporary files. */
  close(): Promise<void>;
  /** Takes no new actors; resolves when none is left, or after `deadlineMs`. */
  drain(deadlineMs?: number): Promise<void>;
  /** Cuts the node off from the broker and from other nodes, as a broken network would; for tests. */
  partition(): void;
  heal(): void;
}

/**
 * Makes this process a node of the cluster. Resolves when the head has accepted it; the heartbeat and the process
 * pool start a moment after.
 * @throws AuthenticationError when the token is wrong.
 * @throws ClusterUnavailableError when no broker or head answers in time.
 */
export async function startNode(options: NodeOptions): Promise<RunningNode> {
  const deadlineMs = systemClock.now() + (options.startTimeoutMs ?? START_TIMEOUT_MS);
  const mintId = createIdMint((target) => randomFillSync(target));
  const identity = newIdentity(mintId, options.nodeId);
  const name = options.name ?? hostname();
  const resources = detectNodeResources(options);
  const folders = makeFolders(options.directory);
  const connection = await connectToBus(options, `node ${name}`);
  const transport = new GatedTransport(connection);
  try {
    const [{ clusterId }, { capacity, problem }] = await Promise.all([
      discoverCluster(transport, deadlineMs - systemClock.now(), systemClock),
      resources,
    ]);
    const logger = options.logger ?? silentLogger;
    if (problem !== undefined) logger.warn({}, problem);
    const node = new Node({
      transport,
      clusterId,
      natsUrl: options.natsUrl,
      token: options.token,
      clock: systemClock,
      mintId,
      logger,
      identity,
      name,
      capacity,
      labels: options.labels ?? {},
      folders: await folders,
      tcpHost: options.tcpHost,
      practiceModule: options.practiceModule,
      poolSettings: defaultPoolSettings(capacity.cpus, options.poolSize, capacity.memoryBytes),
      objectStore: {
        limitBytes: options.objectStoreBytes,
        spillDirectories: options.spillDirectories ?? [join(options.directory, 'spill')],
        spillFreeBytesMin: options.spillFreeBytesMin,
        spillStorage: options.spillStorage ?? fileSpillStorage,
        fileDirectory: join(options.directory, 'store'),
      },
      programs: {
        host: options.programs?.host ?? fileURLToPath(new URL(HOST_PROGRAM, import.meta.url)),
        hostNodeArguments: options.programs?.hostNodeArguments ?? [],
        heartbeatThread:
          options.programs?.heartbeatThread ?? new URL(HEARTBEAT_THREAD, import.meta.url),
      },
    });
    await node.start(deadlineMs);
    return node;
  } catch (error) {
    await transport.close();
    throw error;
  }
}

async function connectToBus(options: NodeOptions, name: string): Promise<Transport> {
  const { connectLocally, natsUrl, token } = options;
  return connectLocally?.(name) ?? connectNats({ servers: natsUrl.split(','), token, name });
}

class Node implements RunningNode {
  readonly pid = process.pid;
  readonly closed: Promise<void>;
  private readonly agent: NodeAgent;
  private readonly options: NodeAgentOptions;
  private closing: Promise<void> | undefined;
  private resolveClosed: () => void = () => undefined;

  constructor(options: NodeAgentOptions) {
    this.options = options;
    this.closed = new Promise((resolve) => {
      this.resolveClosed = resolve;
    });
    this.agent = new NodeAgent(options);
  }

  get nodeId(): NodeId {
    return this.agent.nodeId;
  }

  async start(deadlineMs: number): Promise<void> {
    try {
      await this.agent.start(deadlineMs);
    } catch (error) {
      await this.agent.close('it could not register', 0, 0);
      throw error;
    }
    systemClock.after(BACKGROUND_DELAY_MS, () => this.agent.startBackground());
  }

  close(): Promise<void> {
    return this.end('it was closed');
  }

  drain(deadlineMs?: number): Promise<void> {
    return this.agent.drain(deadlineMs);
  }

  partition(): void {
    this.agent.setPartitioned(true);
  }

  heal(): void {
    this.agent.setPartitioned(false);
  }

  private end(reason: string): Promise<void> {
    this.closing ??= this.closeAll(reason).finally(this.resolveClosed);
    return this.closing;
  }

  private async closeAll(reason: string): Promise<void> {
    const { transport, folders } = this.options;
    await this.agent.close(reason, STOP_GRACE_MS, LAST_REPORTS_MS);
    await transport.close();
    // The logs stay: they are what explains an end.
    await rm(folders.sockets, { recursive: true, force: true });
    await rm(folders.cache, { recursive: true, force: true });
  }
}

async function makeFolders(directory: string): Promise<NodeFolders> {
  const folders = {
    sockets: join(directory, 'sockets'),
    logs: join(directory, 'logs'),
    cache: join(directory, 'cache'),
  };
  for (const folder of Object.values(folders))
    await mkdir(folder, { recursive: true, mode: 0o700 });
  return folders;
}
