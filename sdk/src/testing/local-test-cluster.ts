import { randomBytes } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { addressWithToken } from '@manta/runtime/session/address';
import { ClusterProcess, type ClusterProcessConfiguration } from '../cluster-process.ts';
import type { TestCluster, TestNode } from './index.ts';
import { startNatsProgram, type NatsProgram } from './nats-program.ts';
import { checkNodeOptions, type TestClusterOptions, type TestNodeOptions } from './test-options.ts';

/** A simulated device: 16 GiB, so that requests for GPU memory can be tested. */
const GPU_MEMORY_BYTES = 16 * 2 ** 30;

/** Real processes: one for the head with its broker, one per node, and a nats-server where one is asked for. */
export class LocalTestCluster implements TestCluster {
  readonly nodes: LocalTestNode[] = [];
  readonly #directory: string;
  readonly #options: TestClusterOptions;
  readonly #token = randomBytes(24).toString('hex');
  #port = 0;
  #head: ClusterProcess | undefined;
  #nats: NatsProgram | undefined;
  #processes = 0;

  constructor(directory: string, options: TestClusterOptions) {
    this.#directory = directory;
    this.#options = options;
  }

  async start(nodes: TestNodeOptions[]): Promise<void> {
    this.#port = await freePort();
    if (this.#options.nats === 'server') this.#nats = await this.#startNats();
    await this.restartHead();
    const started = await Promise.all(nodes.map((node) => this.addNode(node)));
    // In the order asked for, not in that of their getting ready.
    this.nodes.splice(0, started.length, ...started);
  }

  get #url(): string {
    return `nats://127.0.0.1:${this.#port}`;
  }

  get address(): string {
    return addressWithToken(this.#url, this.#token);
  }

  get headPid(): number | undefined {
    return this.#head?.pid;
  }

  #startNats(): Promise<NatsProgram> {
    return startNatsProgram({
      port: this.#port,
      token: this.#token,
      directory: join(this.#directory, 'nats'),
    });
  }

  #newDirectory(): string {
    this.#processes += 1;
    return join(this.#directory, String(this.#processes));
  }

  async restartHead(): Promise<void> {
    const { failureDetectionMs, nats } = this.#options;
    const configuration: ClusterProcessConfiguration = {
      directory: this.#newDirectory(),
      token: this.#token,
      ...(nats === 'server' ? {} : { broker: { port: this.#port } }),
      head: {
        natsUrl: this.#url,
        stateDirectory: join(this.#directory, 'state'),
        ...(failureDetectionMs === undefined ? {} : { failureDetectionMs }),
      },
    };
    this.#head = await ClusterProcess.start(configuration);
  }

  async killHead(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    await this.#head?.kill(signal);
    this.#head = undefined;
  }

  async stopBroker(): Promise<void> {
    if (this.#nats !== undefined) await this.#nats.stop();
    else await this.#head?.command('stop-broker');
  }

  async startBroker(): Promise<void> {
    if (this.#nats !== undefined) this.#nats = await this.#startNats();
    else await this.#head?.command('start-broker');
  }

  async addNode(options: TestNodeOptions = {}): Promise<LocalTestNode> {
    checkNodeOptions(options);
    const { gpus, machine, ...capacity } = options;
    const configuration: ClusterProcessConfiguration = {
      directory: this.#newDirectory(),
      token: this.#token,
      node: {
        natsUrl: this.#url,
        poolSize: 1,
        cpus: 4,
        ...capacity,
        ...(machine === undefined ? {} : { tcpHost: '127.0.0.1' }),
        simulatedGpus: { count: gpus ?? 0, memoryBytes: GPU_MEMORY_BYTES, model: 'Simulated' },
      },
    };
    const variables = machine === undefined ? {} : { MANTA_MACHINE_ID: machine };
    const process = await ClusterProcess.start(configuration, variables);
    const node = new LocalTestNode(process);
    this.nodes.push(node);
    return node;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.allSettled(this.nodes.map((node) => node.close()));
    await this.#head?.close();
    await this.#nats?.stop();
    await rm(this.#directory, { recursive: true, force: true });
  }
}

class LocalTestNode implements TestNode {
  readonly #process: ClusterProcess;
  #ended = false;

  constructor(process: ClusterProcess) {
    this.#process = process;
  }

  get nodeId(): string {
    return this.#process.ready.nodeId ?? '';
  }

  get pid(): number {
    return this.#process.pid;
  }

  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    this.#ended = true;
    await this.#process.kill(signal);
  }

  async drain(deadlineMs?: number): Promise<void> {
    await this.#process.command('drain', deadlineMs);
  }

  pause(): void {
    this.#process.signal('SIGSTOP');
  }

  resume(): void {
    this.#process.signal('SIGCONT');
  }

  async partition(): Promise<void> {
    await this.#process.command('partition');
  }

  async heal(): Promise<void> {
    await this.#process.command('heal');
  }

  async close(): Promise<void> {
    if (this.#ended) return;
    this.#process.signal('SIGCONT');
    await this.#process.close();
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
