import { randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startHead } from '@manta/head/main';
import { addressWithToken } from '@manta/runtime/session/address';
import { startNode, type NodeOptions, type RunningNode } from '@manta/worker/main';
import { hostProgram } from '../host/host-program.ts';

export const MIB = 2 ** 20;

export interface StoreCluster {
  readonly address: string;
  readonly node: RunningNode;
  /** Ends it, and tells what is left of the store. */
  close(): Promise<string[]>;
}

/** A head and a node in this process, so that a test can hand the node a disk of its own; hosts are real processes. */
export async function startStoreCluster(options: Partial<NodeOptions>): Promise<StoreCluster> {
  const directory = mkdtempSync(join(tmpdir(), 'manta-store-'));
  const token = randomBytes(16).toString('hex');
  const head = await startHead({ token });
  const node = await startNode({
    natsUrl: head.url,
    token,
    directory: join(directory, 'node'),
    cpus: 2,
    poolSize: 1,
    ...hostProgram(),
    ...options,
  });
  const { nodeId } = node;
  return {
    address: addressWithToken(head.url, token),
    node,
    async close() {
      await node.close();
      await head.close();
      const folders = ['spill', 'store'].map((name) => join(directory, 'node', name));
      const left = [...placesOf(nodeId, []), ...folders].filter(existsSync);
      rmSync(directory, { recursive: true, force: true });
      return left;
    },
  };
}

/** Where a node keeps objects. */
export function placesOf(nodeId: string, spillDirectories: readonly string[]): string[] {
  const name = `manta-${process.geteuid?.() ?? 0}-${nodeId}`;
  return ['/dev/shm', ...spillDirectories].map((parent) => join(parent, name));
}
