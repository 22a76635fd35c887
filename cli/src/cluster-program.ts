import { rm } from 'node:fs/promises';
import { createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { startHead, type RunningHead } from '@manta/head/main';
import { startBroker, type Broker } from '@manta/runtime/broker/broker';
import { parseId } from '@manta/runtime/ids';
import type { ClusterProcessConfiguration } from '@manta/sdk/internal/cluster-process';
import { hostProgram } from './host/host-program.ts';
import { startNode, type RunningNode } from '@manta/worker/main';

/**
 * The process behind `init()` without an address and behind test clusters: a head, a node, or both, for the process
 * that started it. JSON lines: the first line of stdin is the configuration, further lines are commands; answers go
 * to descriptor 3. When stdin closes, the parent is gone or wants an end: everything stops, and nothing is left.
 */
interface Parts {
  broker: RestartableBroker | undefined;
  head: RunningHead | undefined;
  node: RunningNode | undefined;
}

/** Comes as an argument too, because the parent may be killed before it has sent the configuration. */
const DIRECTORY = process.argv[2] ?? '';
const answers = createWriteStream('', { fd: 3 });
// The parent may be gone when we answer; that its stdin closes is how we learn it.
answers.on('error', () => undefined);
const answer = (message: unknown): void => void answers.write(`${JSON.stringify(message)}\n`);

/** A broker that can go away and come back at the same port. */
class RestartableBroker {
  readonly #port: number;
  readonly #token: string;
  #running: Broker | undefined;
  /** A client, by its name, is gone. */
  onDisconnected: (clientName: string) => void = () => undefined;

  constructor(port: number, token: string) {
    this.#port = port;
    this.#token = token;
  }

  async start(): Promise<void> {
    this.#running ??= await startBroker({
      host: '127.0.0.1',
      port: this.#port,
      token: this.#token,
      onDisconnected: (clientName) => this.onDisconnected(clientName),
    });
  }

  async stop(): Promise<void> {
    await this.#running?.close();
    this.#running = undefined;
  }
}

async function start(configuration: ClusterProcessConfiguration): Promise<Parts> {
  const { directory, token } = configuration;
  const broker = configuration.broker && new RestartableBroker(configuration.broker.port, token);
  await broker?.start();
  const head =
    configuration.head === undefined ? undefined : await startConfiguredHead(configuration);
  if (broker !== undefined && head !== undefined)
    broker.onDisconnected = (clientName) => head.clientDisconnected(clientName);
  const natsUrl = configuration.node?.natsUrl ?? head?.url;
  const node =
    configuration.node === undefined || natsUrl === undefined
      ? undefined
      : await startNode({
          ...configuration.node,
          natsUrl,
          connectLocally: natsUrl === head?.url ? head?.connectLocally : undefined,
          token,
          directory: join(directory, 'node'),
          ...hostProgram(),
        });
  answer({ ready: { clusterId: head?.clusterId, url: head?.url, nodeId: node?.nodeId } });
  return { broker, head, node };
}

function startConfiguredHead({ head, token }: ClusterProcessConfiguration): Promise<RunningHead> {
  const { clusterId, ...options } = head ?? {};
  const id = clusterId === undefined ? undefined : parseId('cluster', clusterId);
  return startHead({ ...options, ...(id === undefined ? {} : { clusterId: id }), token });
}

async function execute(parts: Parts, command: string, argument: unknown): Promise<unknown> {
  const { broker, node } = parts;
  if (command === 'stop-broker') return broker?.stop();
  if (command === 'start-broker') return broker?.start();
  if (node === undefined) throw new Error(`this process runs no node to ${command}`);
  switch (command) {
    case 'drain':
      await node.drain(argument as number | undefined);
      return null;
    case 'partition':
      node.partition();
      return null;
    case 'heal':
      node.heal();
      return null;
    default:
      throw new Error(`unknown command ${command}`);
  }
}

async function stop({ broker, head, node }: Parts, directory: string): Promise<void> {
  try {
    await node?.close();
    await head?.close();
    await broker?.stop();
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** A parent that was killed may have left half a line, which nobody will finish. */
function parse(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

async function main(): Promise<void> {
  const lines = createInterface({ input: process.stdin });
  let configuration: ClusterProcessConfiguration | undefined;
  let parts: Promise<Parts> | undefined;
  lines.on('line', (line) => {
    const message = parse(line);
    if (message === undefined) return;
    if (configuration === undefined) {
      configuration = message as ClusterProcessConfiguration;
      parts = start(configuration);
      parts.catch(async (error: unknown) => {
        console.error(error instanceof Error ? error.message : error);
        await rm(DIRECTORY, { recursive: true, force: true });
        process.exit(1);
      });
      return;
    }
    const { id, command, argument } = message as { id: number; command: string; argument: unknown };
    void parts
      ?.then((running) => execute(running, command, argument))
      .then(
        (value) => answer({ id, value }),
        (error: unknown) => answer({ id, error: String(error) }),
      );
  });
  const end = (): void => {
    const running =
      parts ?? Promise.resolve({ broker: undefined, head: undefined, node: undefined });
    void running
      .then((all) => stop(all, DIRECTORY))
      .then(
        () => process.exit(0),
        (error: unknown) => {
          console.error(error);
          process.exit(1);
        },
      );
  };
  lines.once('close', end);
  process.once('SIGTERM', end);
}

main().catch((error: unknown) => {
  console.error(error);
  process.exit(1);
});
