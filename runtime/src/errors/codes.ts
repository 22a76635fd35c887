/**
 * The closed table of Manta's errors: one row per class of the public contract. `code` is stable across releases,
 * `retryable` says whether the same call may succeed later without anybody changing anything, `remedy` is what a
 * person should do next.
 */
export interface ErrorRow {
  readonly code: string;
  readonly retryable: boolean;
  readonly remedy: string;
}

const row = (code: string, retryable: boolean, remedy: string): ErrorRow => ({
  code,
  retryable,
  remedy,
});

export const ERROR_TABLE = {
  MantaError: row(
    'MANTA_INTERNAL',
    false,
    'This is a defect in Manta: please report it with the stack.',
  ),
  InvalidArgumentError: row(
    'MANTA_INVALID_ARGUMENT',
    false,
    'Correct the argument that the message names.',
  ),
  TaskError: row('MANTA_TASK_FAILED', false, 'The code you called threw: see `cause`.'),
  ActorDiedError: row(
    'MANTA_ACTOR_DIED',
    false,
    'See `deathCause`; set maxRestarts to have the actor started again.',
  ),
  ActorUnavailableError: row(
    'MANTA_ACTOR_UNAVAILABLE',
    true,
    'The call may or may not have run; set maxTaskRetries to have it repeated.',
  ),
  WorkerCrashedError: row(
    'MANTA_WORKER_CRASHED',
    true,
    'See the log of the process that the message names.',
  ),
  NodeDiedError: row(
    'MANTA_NODE_DIED',
    true,
    'Check the node, or set maxRestarts so that work moves elsewhere.',
  ),
  OutOfMemoryError: row(
    'MANTA_OUT_OF_MEMORY',
    true,
    'Give the actor more memoryBytes, or run fewer on one node.',
  ),
  TaskCancelledError: row('MANTA_TASK_CANCELLED', false, 'The call was cancelled by its caller.'),
  TaskTimeoutError: row(
    'MANTA_TASK_TIMEOUT',
    true,
    'Raise timeoutMs, or look with explain() at what the call waited for.',
  ),
  GetTimeoutError: row(
    'MANTA_GET_TIMEOUT',
    true,
    'The value is not there yet: wait longer, or ask explain(ref).',
  ),
  ObjectLostError: row(
    'MANTA_OBJECT_LOST',
    false,
    'Create the object again, or put it with { durable: true }.',
  ),
  OwnerDiedError: row(
    'MANTA_OWNER_DIED',
    false,
    'The process that made the ref is gone; create the object in a process that outlives its users.',
  ),
  ObjectFreedError: row(
    'MANTA_OBJECT_FREED',
    false,
    'The object was freed; do not use the ref after free().',
  ),
  ObjectReconstructionFailedError: row(
    'MANTA_OBJECT_RECONSTRUCTION_FAILED',
    false,
    'Raise maxRetries of the task that makes it.',
  ),
  ObjectStoreFullError: row(
    'MANTA_OBJECT_STORE_FULL',
    true,
    'Drop refs, or give the node a larger object store.',
  ),
  BackpressureError: row(
    'MANTA_BACKPRESSURE',
    true,
    'Too many unfinished calls: wait for some to finish.',
  ),
  SerializationError: row(
    'MANTA_SERIALIZATION',
    false,
    'Send plain data, refs or handles at the path that the message names.',
  ),
  InfeasibleError: row(
    'MANTA_INFEASIBLE',
    false,
    'No node can ever fit this: ask for less, or add a node; see `perNode`.',
  ),
  SchedulingTimeoutError: row(
    'MANTA_SCHEDULING_TIMEOUT',
    true,
    'No node had room in time; see `perNode`.',
  ),
  PlacementGroupRemovedError: row(
    'MANTA_PLACEMENT_GROUP_REMOVED',
    false,
    'Create the placement group again.',
  ),
  NameTakenError: row('MANTA_NAME_TAKEN', false, 'Choose another name, or pass getIfExists: true.'),
  ActorNotFoundError: row(
    'MANTA_ACTOR_NOT_FOUND',
    false,
    'See `manta list actors` for the names that exist in this namespace.',
  ),
  RuntimeEnvSetupError: row(
    'MANTA_RUNTIME_ENV_SETUP',
    false,
    'Correct the runtimeEnv; the message says which step failed.',
  ),
  NotInitializedError: row(
    'MANTA_NOT_INITIALIZED',
    false,
    'Call `await init()` first; what was made before a shutdown() is of no use after it.',
  ),
  ClusterUnavailableError: row(
    'MANTA_CLUSTER_UNAVAILABLE',
    true,
    'Check the address, and that the head runs: `manta status`.',
  ),
  AuthenticationError: row(
    'MANTA_AUTHENTICATION',
    false,
    "Pass the cluster's join token: MANTA_TOKEN, or the token option.",
  ),
  ProtocolError: row(
    'MANTA_PROTOCOL',
    false,
    'Run matching Manta versions on both sides: `manta doctor`.',
  ),
} as const satisfies Record<string, ErrorRow>;

export type ErrorName = keyof typeof ERROR_TABLE;
