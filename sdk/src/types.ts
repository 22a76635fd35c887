/**
 * The public types of actors, refs and options. The names and meanings are the product's contract: tests and programs
 * of users are written against them.
 */
import type { CallOptions } from '@manta/runtime/rpc/call-options';

export type { CallOptions };

/** Amounts in steps of 0.0001. */
export interface ResourceAmounts {
  cpus?: number;
  /** Below 1 a share of ONE device, from 1 on whole devices only. */
  gpus?: number;
  memoryBytes?: number;
  /** Custom resources. */
  resources?: Record<string, number>;
}

/**
 * The amounts are the capacity of the node that a private local cluster starts; default: what is detected. With an
 * address they are refused.
 */
export interface InitOptions extends ResourceAmounts {
  /**
   * `nats://host:port` or `tls://host:port` joins a cluster; `auto` joins the one `manta start` left on this machine;
   * absent: MANTA_ADDRESS, else a private local cluster (broker + head + one node) that ends with this process.
   */
  address?: string;
  /** Default: a fresh anonymous namespace per job. */
  namespace?: string;
  runtimeEnv?: RuntimeEnv;
  /** Print what actors and tasks of this job write to stdout/stderr, prefixed and de-duplicated. Default true. */
  logToDriver?: boolean;
  /** Join token; default: MANTA_TOKEN, else that of the local session's file for the address in it. */
  token?: string;
}

export interface ClusterInfo {
  clusterId: string;
  jobId: string;
  nodeId: string;
  namespace: string;
  address: string;
  dashboardUrl?: string;
}

export interface RuntimeEnv {
  env?: Record<string, string>;
  /** How long the module of an actor may load, its top-level awaits included. Default 300 000. */
  setupTimeoutMs?: number;
}

export interface SchedulingOptions extends ResourceAmounts {
  /** Ask for GPU memory instead of a share: the scheduler turns it into one device with that much free. */
  gpuMemoryBytes?: number;
  acceleratorType?: string;
  /** 'hybrid' (default): pack below half load, then spread. */
  scheduling?: 'hybrid' | 'spread' | { nodeId: string; soft?: boolean };
  /** Every entry must hold: 'a', '!a', 'in(a,b)', '!in(a,b)'. */
  labels?: Record<string, string>;
  /**
   * Fail with InfeasibleError / SchedulingTimeoutError rather than wait. Infeasible by total capacity fails after this
   * too.
   */
  schedulingTimeoutMs?: number;
  runtimeEnv?: RuntimeEnv;
}

export interface ActorOptions extends SchedulingOptions {
  name?: string;
  namespace?: string;
  /** Needs `name`; race-safe. */
  getIfExists?: boolean;
  /** 'job' (default): dies with its last handle or its owner. 'detached': lives until killed. */
  lifetime?: 'job' | 'detached';
  /**
   * 'process' (default): a process of its own. 'thread': a worker thread. 'shared': many actors in one host process's
   * event loop (for 100,000s of light actors); a crash takes the host's actors with it and each restarts by its own
   * rule.
   */
  isolation?: 'process' | 'thread' | 'shared';
  /** Default 0; -1 without end. The constructor runs again, state is lost unless the class checkpoints. */
  maxRestarts?: number;
  /** Default 0: at most once. >0 or -1: at least once, over restarts. */
  maxTaskRetries?: number;
  /** Retry also on errors that the method throws: all, or those with one of these `name`s. */
  retryExceptions?: boolean | string[];
  /** Calls that run at the same time. Default 1: one call runs to its end, awaits included, before the next starts. */
  maxConcurrency?: number;
  /** Named quotas beside the default one; a method joins through `concurrencyGroupOf` or per call. */
  concurrencyGroups?: Record<string, number>;
  concurrencyGroupOf?: Record<string, string>;
  /** More unfinished calls from one caller are refused with BackpressureError. Default unlimited. */
  maxPendingCalls?: number;
  allowOutOfOrderExecution?: boolean;
  /** Time for running calls and `[Symbol.asyncDispose]` on a graceful end. Default 30 000. */
  gracefulShutdownMs?: number;
}

declare const actorHandle: unique symbol;
/** What every handle is, whatever its class. */
export interface AnyActorHandle {
  readonly [actorHandle]: true;
}

/** Every public method of A: arguments may be refs, the result is a ref. Nothing else is enumerable; `then` is undefined. */
export type ActorHandle<A extends object> = AnyActorHandle & {
  readonly [M in keyof A as A[M] extends (...args: never[]) => unknown ? M : never]: A[M] extends (
    ...args: infer P
  ) => infer R
    ? RemoteMethod<P, R>
    : never;
};

export interface RemoteMethod<P extends unknown[], R> {
  (...args: WithRefs<P>): RemoteResult<R>;
  options(options: CallOptions): RemoteMethod<P, R>;
}

type IsAny<T> = 0 extends 1 & T ? true : false;

/** A stream for what the callee iterates over, else a ref. Unions stay one ref; a method that only throws gives one too. */
export type RemoteResult<R> =
  IsAny<R> extends true
    ? ObjectRef<R>
    : [R] extends [never]
      ? ObjectRef<never>
      : [R] extends [AsyncIterable<infer T> | (Iterable<infer T> & { next: unknown })]
        ? ObjectRefStream<T>
        : ObjectRef<Awaited<R>>;

export type WithRefs<P extends unknown[]> = { [I in keyof P]: P[I] | ObjectRef<P[I]> };

export interface ActorClass<A extends object, Args extends unknown[]> {
  /** Starts creation and returns at once; calls on the handle queue up until the actor is alive. */
  create(...args: WithRefs<Args>): ActorHandle<A>;
  options(options: ActorOptions): ActorClass<A, Args>;
}

export interface RemoteTask<P extends unknown[], R> {
  (...args: WithRefs<P>): RemoteResult<R>;
  options(options: TaskOptions & CallOptions): RemoteTask<P, R>;
}

/** Default: 1 CPU, no GPU. */
export interface TaskOptions extends SchedulingOptions {
  /** Name if the function has none. */
  name?: string;
  /** On the death of its worker or node; -1 without end. Default 3. */
  maxRetries?: number;
  /** Retry also on errors that the function throws: all, or those with one of these `name`s. */
  retryExceptions?: boolean | string[];
  /**
   * The worker process takes no more tasks after this many calls, and ends when nobody needs what it owns: refs that its
   * tasks have made with `put()` or nested tasks, and actors. It keeps its GPU until then. Default: unlimited, 1 for GPU
   * tasks.
   */
  maxCalls?: number;
}

/** A typed future. Awaiting it fetches the value; passing it on does not. Rejects with the errors of the contract. */
export interface ObjectRef<T> extends PromiseLike<T> {
  readonly id: string;
  catch: Promise<T>['catch'];
  finally: Promise<T>['finally'];
  [Symbol.dispose](): void;
}

/**
 * Iterating yields values in order; an error the generator threw is thrown at its place. Leaving the loop frees the rest:
 * the generator is cancelled, and what it gave and nobody read is freed. So does disposing of the stream, or letting go of
 * it and of its iterators, once they are collected. Of several iterators each gets what the others do not: an item goes to
 * the one that asked first.
 */
export interface ObjectRefStream<T> extends AsyncIterable<T> {
  refs(): AsyncIterable<ObjectRef<T>>;
  cancel(): void;
  [Symbol.dispose](): void;
}

/** Inside an actor or a task. */
export interface RuntimeContext {
  clusterId: string;
  jobId: string;
  nodeId: string;
  namespace: string;
  actorId?: string;
  actorName?: string;
  taskId?: string;
  /** 0 for the first life. */
  restarts: number;
  gpuIds: string[];
  assignedResources: Record<string, number>;
  /** Aborts when this call is cancelled, times out or its caller is gone. */
  signal: AbortSignal;
}
