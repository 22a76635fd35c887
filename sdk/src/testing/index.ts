import { hostContext } from '@manta/runtime/actor/host-context';
import { createSessionDirectory, removeDeadSessions } from '../session-directory.ts';
import { LocalTestCluster } from './local-test-cluster.ts';
import {
  checkClusterOptions,
  type TestClusterOptions,
  type TestNodeOptions,
} from './test-options.ts';

export type { TestClusterOptions, TestNodeOptions };

export interface TestNode {
  readonly nodeId: string;
  readonly pid: number;
  kill(signal?: NodeJS.Signals): Promise<void>;
  drain(deadlineMs?: number): Promise<void>;
  pause(): void;
  resume(): void;
  /** Cuts it off from the broker and from other nodes. */
  partition(): Promise<void>;
  heal(): Promise<void>;
}

export interface TestCluster extends AsyncDisposable {
  /** Carries the token: `init({ address })` alone joins. */
  readonly address: string;
  addNode(node?: TestNodeOptions): Promise<TestNode>;
  readonly nodes: TestNode[];
  /** Of the head's process; undefined while there is none. */
  readonly headPid: number | undefined;
  killHead(signal?: NodeJS.Signals): Promise<void>;
  restartHead(): Promise<void>;
  stopBroker(): Promise<void>;
  startBroker(): Promise<void>;
}

const DEFAULT_NODE: TestNodeOptions = { cpus: 4, memoryBytes: 8 * 2 ** 30 };

/**
 * Starts a cluster of real processes on this machine: a head, and nodes with the given capacities (GPUs are
 * simulated). Everything ends with the disposal, or with this process.
 * @throws InvalidArgumentError naming the option that is wrong, with those that there are.
 */
export async function startTestCluster(options: TestClusterOptions = {}): Promise<TestCluster> {
  const context = hostContext();
  if (context !== undefined && context.currentCall() === undefined) {
    context.reachedDriverPart();
    return new Promise<never>(() => undefined);
  }
  checkClusterOptions(options);
  void removeDeadSessions();
  const cluster = new LocalTestCluster(await createSessionDirectory(), options);
  try {
    await cluster.start(options.nodes ?? [DEFAULT_NODE]);
    return cluster;
  } catch (error) {
    await cluster[Symbol.asyncDispose]();
    throw error;
  }
}
