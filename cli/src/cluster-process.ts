import { rm } from 'node:fs/promises';
import { createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { startHead, type RunningHead } from '@manta/head/main';
import { parseId } from '@manta/runtime/ids';
import type { ClusterProcessConfiguration } from '@manta/sdk/internal/cluster-process';
import { startNode, type RunningNode } from '@manta/worker/main';

/**
 * The process behind `init()` without an address and behind test clusters: a head, a node, or both, for the process
 * that started it. JSON lines: the first line of stdin is the configuration, further lines are commands; answers go
 * to descriptor 3. When stdin closes, the parent is gone or wants an end: everything stops, and nothing is left.
 */
interface Parts {
  head: RunningHead | undefined;
  node: RunningNode | undefined;
}

const answers = createWriteStream('', { fd: 3 });
// The parent may be gone when we answer; that its stdin closes is how we learn it.
answers.on('error', () => undefined);
const answer = (message: unknown): void => void answers.write(`${JSON.stringify(message)}\n`);

async function start(configuration: ClusterProcessConfiguration): Promise<Parts> {
  const { directory, token } = configuration;
  const head =
    configuration.head === undefined ? undefined : await startConfiguredHead(configuration);
  const natsUrl = configuration.node?.natsUrl ?? head?.url;
  const node =
    configuration.node === undefined || natsUrl === undefined
      ? undefined
      : await startNode({
          ...configuration.node,
          natsUrl,
          token,
          directory: join(directory, 'node'),
        });
  answer({ ready: { clusterId: head?.clusterId, url: head?.url, nodeId: node?.nodeId } });
  return { head, node };
}

function startConfiguredHead({ head, token }: ClusterProcessConfiguration): Promise<RunningHead> {
  const { clusterId, ...options } = head ?? {};
  const id = clusterId === undefined ? undefined : parseId('cluster', clusterId);
  return startHead({ ...options, ...(id === undefined ? {} : { clusterId: id }), token });
}

async function execute(parts: Parts, command: string, argument: unknown): Promise<unknown> {
  const { node } = parts;
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
    case 'node-id':
      return node.nodeId;
    default:
      throw new Error(`unknown command ${command}`);
  }
}

async function stop({ head, node }: Parts, directory: string): Promise<void> {
  try {
    await node?.close();
    await head?.close();
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function main(): Promise<void> {
  const lines = createInterface({ input: process.stdin });
  let configuration: ClusterProcessConfiguration | undefined;
  let parts: Promise<Parts> | undefined;
  lines.on('line', (line) => {
    const message = JSON.parse(line) as unknown;
    if (configuration === undefined) {
      configuration = message as ClusterProcessConfiguration;
      parts = start(configuration);
      parts.catch((error: unknown) => {
        console.error(error instanceof Error ? error.message : error);
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
    const running = parts ?? Promise.resolve({ head: undefined, node: undefined });
    void running
      .then((all) => stop(all, configuration?.directory ?? ''))
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

await main();
