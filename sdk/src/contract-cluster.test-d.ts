import type * as sdk from '@manta/sdk';
import {
  ActorPool,
  availableResources,
  clusterResources,
  explain,
  init,
  isInitialized,
  listActors,
  listJobs,
  listNodes,
  listObjects,
  MantaError,
  Queue,
  shutdown,
  type ActorHandle,
  type ActorInfo,
  type ClusterInfo,
  type DeathCause,
  type GpuInfo,
  type InitOptions,
  type NodeInfo,
  type ObjectRef,
  type ResourceAmounts,
} from '@manta/sdk';
import {
  startTestCluster,
  type TestCluster,
  type TestClusterOptions,
  type TestNode,
  type TestNodeOptions,
} from '@manta/sdk/testing';
import { assertType, describe, expectTypeOf, it } from 'vitest';

class Model {
  run(input: string): number {
    return input.length;
  }
  async later(flag: boolean): Promise<{ flag: boolean }> {
    return { flag };
  }
}
declare const handle: ActorHandle<Model>;
declare const numberRef: ObjectRef<number>;

describe('cluster', () => {
  it('has the names and types of the contract', () => {
    expectTypeOf(init).toBeCallableWith({} as InitOptions);
    expectTypeOf(init()).toEqualTypeOf<Promise<ClusterInfo>>();
    expectTypeOf(shutdown).returns.toEqualTypeOf<Promise<void>>();
    expectTypeOf(isInitialized).returns.toEqualTypeOf<boolean>();
    expectTypeOf<ClusterInfo>().toExtend<{
      clusterId: string;
      jobId: string;
      nodeId: string;
      namespace: string;
      address: string;
    }>();
    expectTypeOf<ClusterInfo['dashboardUrl']>().toEqualTypeOf<string | undefined>();
    expectTypeOf<Required<ResourceAmounts>>().toEqualTypeOf<{
      cpus: number;
      gpus: number;
      memoryBytes: number;
      resources: Record<string, number>;
    }>();
    assertType<InitOptions>({
      address: 'auto',
      namespace: 'n',
      token: 't',
      logToDriver: false,
      cpus: 1,
      gpus: 0.5,
      memoryBytes: 1,
      resources: { tpu: 1 },
      runtimeEnv: { env: { A: 'b' } },
    });
    // @ts-expect-error -- a number is no address
    void init({ address: 1 });
    // @ts-expect-error -- no such option
    void init({ adress: 'auto' });
  });
});

describe('state', () => {
  it('tells of nodes, actors, resources, and why something waits', () => {
    expectTypeOf(clusterResources).returns.toEqualTypeOf<Promise<Record<string, number>>>();
    expectTypeOf(availableResources).returns.toEqualTypeOf<Promise<Record<string, number>>>();
    expectTypeOf(listNodes).returns.toEqualTypeOf<Promise<NodeInfo[]>>();
    expectTypeOf<NodeInfo['state']>().toEqualTypeOf<'alive' | 'suspect' | 'draining' | 'dead'>();
    expectTypeOf<NodeInfo>().toExtend<{
      nodeId: string;
      name: string;
      resources: Record<string, number>;
      available: Record<string, number>;
      labels: Record<string, string>;
      gpus: GpuInfo[];
    }>();
    expectTypeOf<GpuInfo>().toExtend<{
      index: number;
      uuid: string;
      model: string;
      memoryBytes: number;
      freeShare: number;
    }>();
    expectTypeOf(
      listActors({ className: 'c', name: 'n', namespace: 's', state: 'alive', nodeId: 'i' }),
    ).resolves.toEqualTypeOf<ActorInfo[]>();
    expectTypeOf<ActorInfo['state']>().toEqualTypeOf<'pending' | 'alive' | 'restarting' | 'dead'>();
    expectTypeOf<ActorInfo>().toExtend<{
      actorId: string;
      className: string;
      namespace: string;
      restarts: number;
    }>();
    expectTypeOf<DeathCause>().toExtend<{ kind: string; message: string }>();
    expectTypeOf(listObjects).returns.toExtend<Promise<unknown[]>>();
    expectTypeOf(listJobs).returns.toExtend<Promise<unknown[]>>();
    for (const what of [numberRef, handle]) {
      expectTypeOf(explain(what)).resolves.toExtend<{
        state: string;
        since: number;
        reason: string;
        perNode?: Record<string, string>;
      }>();
    }
    // @ts-expect-error -- no such state
    void listActors({ state: 'ill' });
    // @ts-expect-error -- nothing that could wait
    void explain('a_1');
  });
});

describe('errors', () => {
  it('are all MantaErrors of the names of the contract', () => {
    type Names =
      | 'TaskError'
      | 'ActorDiedError'
      | 'ActorUnavailableError'
      | 'WorkerCrashedError'
      | 'NodeDiedError'
      | 'OutOfMemoryError'
      | 'TaskCancelledError'
      | 'TaskTimeoutError'
      | 'GetTimeoutError'
      | 'ObjectLostError'
      | 'OwnerDiedError'
      | 'ObjectFreedError'
      | 'ObjectReconstructionFailedError'
      | 'ObjectStoreFullError'
      | 'BackpressureError'
      | 'SerializationError'
      | 'InfeasibleError'
      | 'SchedulingTimeoutError'
      | 'PlacementGroupRemovedError'
      | 'NameTakenError'
      | 'ActorNotFoundError'
      | 'RuntimeEnvSetupError'
      | 'ClusterUnavailableError'
      | 'AuthenticationError';
    expectTypeOf<InstanceType<(typeof sdk)[Names]>>().toExtend<MantaError>();
    expectTypeOf<MantaError>().toExtend<
      Error & { readonly code: string; readonly retryable: boolean }
    >();
    expectTypeOf(MantaError.is(new Error(), 'TaskError')).toEqualTypeOf<boolean>();
    expectTypeOf(MantaError.is(undefined)).toEqualTypeOf<boolean>();
    expectTypeOf<sdk.TaskError>().toExtend<{ readonly cause?: unknown; readonly method: string }>();
    expectTypeOf<sdk.ActorDiedError>().toExtend<{
      readonly actorId: string;
      readonly deathCause: DeathCause;
    }>();
    expectTypeOf<sdk.SerializationError['path']>().toEqualTypeOf<string>();
    expectTypeOf<sdk.InfeasibleError['perNode']>().toEqualTypeOf<Record<string, string>>();
    expectTypeOf<sdk.SchedulingTimeoutError['perNode']>().toEqualTypeOf<Record<string, string>>();
  });
});

describe('utilities', () => {
  it('ActorPool infers actor, values and results', () => {
    const pool = new ActorPool([handle, handle]);
    expectTypeOf(pool).toEqualTypeOf<ActorPool<Model>>();
    expectTypeOf(pool.map((actor, value: string) => actor.run(value), ['a'])).toEqualTypeOf<
      AsyncIterable<number>
    >();
    expectTypeOf(
      pool.mapUnordered((actor, value) => actor.later(value), new Set([true])),
    ).toEqualTypeOf<AsyncIterable<{ flag: boolean }>>();
    // @ts-expect-error -- the values are of another type
    pool.map((actor, value: string) => actor.run(value), [1]);
  });

  it('Queue carries one type', () => {
    const queue = new Queue<string>({ maxSize: 1, actorOptions: { name: 'q' } });
    expectTypeOf(queue.put('a', { timeoutMs: 1 })).toEqualTypeOf<Promise<void>>();
    expectTypeOf(queue.get({ timeoutMs: 1 })).toEqualTypeOf<Promise<string>>();
    expectTypeOf(queue.size()).toEqualTypeOf<Promise<number>>();
    // @ts-expect-error -- of another type
    void queue.put(1);
  });
});

describe('testing', () => {
  it('starts clusters of real processes', () => {
    const options: TestClusterOptions = {
      nodes: [{ cpus: 1, gpus: 2, labels: { a: 'b' }, objectStoreBytes: 1 }],
      nats: 'server',
      failureDetectionMs: 1,
    };
    expectTypeOf(startTestCluster(options)).toEqualTypeOf<Promise<TestCluster>>();
    expectTypeOf<TestCluster>().toExtend<AsyncDisposable>();
    expectTypeOf<TestCluster['address']>().toEqualTypeOf<string>();
    expectTypeOf<TestCluster['addNode']>().toEqualTypeOf<
      (node?: TestNodeOptions) => Promise<TestNode>
    >();
    expectTypeOf<TestCluster['nodes']>().toEqualTypeOf<TestNode[]>();
    expectTypeOf<TestCluster['killHead']>().toEqualTypeOf<
      (signal?: NodeJS.Signals) => Promise<void>
    >();
    expectTypeOf<TestCluster['restartHead' | 'stopBroker' | 'startBroker']>().toEqualTypeOf<
      () => Promise<void>
    >();
    expectTypeOf<Pick<TestNode, 'nodeId' | 'pid'>>().toEqualTypeOf<{
      readonly nodeId: string;
      readonly pid: number;
    }>();
    expectTypeOf<TestNode['kill']>().toEqualTypeOf<(signal?: NodeJS.Signals) => Promise<void>>();
    expectTypeOf<TestNode['drain']>().toEqualTypeOf<(deadlineMs?: number) => Promise<void>>();
    expectTypeOf<TestNode['pause' | 'resume']>().toEqualTypeOf<() => void>();
    expectTypeOf<TestNode['partition' | 'heal']>().toEqualTypeOf<() => Promise<void>>();
  });
});
