import { get, init, type ObjectRef, shutdown, type TaskOptions, wait } from '@manta/sdk';
import { startTestCluster, type TestCluster, type TestNode } from '@manta/sdk/testing';
import { coreOf } from './core.ts';

/** Work goes to that node as long as it lives. */
export const at = ({ nodeId }: Pick<TestNode, 'nodeId'>): Pick<TaskOptions, 'scheduling'> => ({
  scheduling: { nodeId, soft: true },
});

/** Nodes that a test kills, beside two that stay; what runs there runs elsewhere afterwards. */
export class Victims implements AsyncDisposable {
  readonly cluster: TestCluster;

  private constructor(cluster: TestCluster) {
    this.cluster = cluster;
  }

  /** A cluster that this program is a driver of. */
  static async start(): Promise<Victims> {
    const cluster = await startTestCluster({
      nodes: [{ cpus: 4 }, { cpus: 4 }],
      failureDetectionMs: 2_000,
    });
    await init({ address: cluster.address, logToDriver: false });
    return new Victims(cluster);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await shutdown();
    await this.cluster[Symbol.asyncDispose]();
  }

  add(): Promise<TestNode> {
    return this.cluster.addNode({ cpus: 4 });
  }

  /** The node of this program. */
  own(ref: ObjectRef<unknown>): TestNode {
    const { agent } = coreOf(ref).store;
    const node = this.cluster.nodes.find(({ nodeId }) => nodeId === agent?.nodeId);
    if (node === undefined) throw new Error('this program has no node');
    return node;
  }

  /** The nodes that stay and that this program is not on. */
  others(ref: ObjectRef<unknown>): TestNode[] {
    const own = coreOf(ref).store.agent?.nodeId;
    return this.cluster.nodes.filter(({ nodeId }) => nodeId !== own);
  }
}

/** Until the values are there, wherever that is: nothing is brought to this node. */
export async function ready(refs: readonly ObjectRef<unknown>[]): Promise<void> {
  await wait(refs, { numReturns: refs.length, fetchLocal: false });
}

/** The first value of each array. */
export async function firstsOf(refs: readonly ObjectRef<Float32Array>[]): Promise<number[]> {
  return (await get(refs)).map((values) => values[0] ?? Number.NaN);
}
