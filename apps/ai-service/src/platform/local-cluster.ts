import { randomBytes } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { init, shutdown } from '@manta/sdk';
import { ClusterProcess } from '@manta/sdk/internal/cluster-process';
import { createSessionDirectory, removeDeadSessions } from '@manta/sdk/internal/session-directory';

export interface LocalClusterOptions {
  /** Worker nodes on this machine; the first shares a process with the head. */
  nodes: number;
  /** What the models need together; nodes offer at least this much, however small the machine. */
  cpusNeeded: number;
}

/** A cluster on this machine that ends with this process, with this process as its driver. */
export class LocalCluster implements AsyncDisposable {
  readonly #processes: ClusterProcess[];
  readonly nodeIds: readonly string[];

  private constructor(processes: ClusterProcess[]) {
    this.#processes = processes;
    this.nodeIds = processes.flatMap((process) => process.ready.nodeId ?? []);
  }

  static async start({ nodes, cpusNeeded }: LocalClusterOptions): Promise<LocalCluster> {
    await removeDeadSessions();
    const token = randomBytes(24).toString('hex');
    // Each node holds whole replicas only, so that rounding up leaves room for every one of them.
    const cpus = Math.ceil(Math.max(availableParallelism(), cpusNeeded) / nodes);
    const head = await ClusterProcess.start({
      directory: await createSessionDirectory(),
      token,
      head: {},
      node: { name: 'node-1', cpus },
    });
    const processes = [head];
    try {
      const natsUrl = head.ready.url ?? '';
      const others = Array.from({ length: nodes - 1 }, async (_, index) =>
        ClusterProcess.start({
          directory: await createSessionDirectory(),
          token,
          node: { natsUrl, name: `node-${index + 2}`, cpus },
        }),
      );
      processes.push(...(await allOrNone(others)));
      await init({ address: natsUrl, token, namespace: 'ai-service' });
      return new LocalCluster(processes);
    } catch (error) {
      await closeAll(processes);
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await shutdown();
    await closeAll(this.#processes);
  }
}

/** In their order. @throws the first failure, once all those that have started all the same are closed. */
export async function allOrNone<P extends { close(): Promise<void> }>(
  starting: readonly Promise<P>[],
): Promise<P[]> {
  const outcomes = await Promise.allSettled(starting);
  const started = outcomes.flatMap((outcome) =>
    outcome.status === 'fulfilled' ? outcome.value : [],
  );
  const failure = outcomes.find(({ status }) => status === 'rejected');
  if (failure === undefined) return started;
  await Promise.all(started.map((process) => process.close()));
  throw (failure as PromiseRejectedResult).reason;
}

/** The head last: the nodes tell it that they leave. */
async function closeAll(processes: readonly ClusterProcess[]): Promise<void> {
  const [head, ...others] = processes;
  await Promise.all(others.map((process) => process.close()));
  await head?.close();
}
