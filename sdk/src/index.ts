export { init, isInitialized, shutdown } from './lifecycle.ts';
export { defineActor } from './define-actor.ts';
export { defineTask } from './define-task.ts';
export {
  actorIdOf,
  exitActor,
  getActor,
  kill,
  ready,
  runtimeContext,
  self,
  stop,
} from './actors.ts';
export { cancel, free, get, put, type PutOptions } from './objects.ts';
export { wait, type WaitOptions } from './wait.ts';
export {
  availableResources,
  clusterResources,
  explain,
  listActors,
  listJobs,
  listNodes,
  listObjects,
  listTasks,
  type ActorInfo,
  type GpuInfo,
  type ListObjectsOptions,
  type ListTasksOptions,
  type NodeInfo,
  type ObjectInfo,
  type TaskInfo,
} from './state.ts';
export { ActorPool } from './actor-pool.ts';
export { Queue } from './queue.ts';
export type { DeathCause } from '@manta/runtime/errors/death-cause';
export {
  ActorDiedError,
  ActorNotFoundError,
  ActorUnavailableError,
  AuthenticationError,
  BackpressureError,
  ClusterUnavailableError,
  GetTimeoutError,
  InfeasibleError,
  InvalidArgumentError,
  MantaError,
  NameTakenError,
  NodeDiedError,
  NotInitializedError,
  ObjectFreedError,
  ObjectLostError,
  ObjectReconstructionFailedError,
  ObjectStoreFullError,
  OutOfMemoryError,
  OwnerDiedError,
  PlacementGroupRemovedError,
  ProtocolError,
  RuntimeEnvSetupError,
  SchedulingTimeoutError,
  SerializationError,
  TaskCancelledError,
  TaskError,
  TaskTimeoutError,
  WorkerCrashedError,
} from '@manta/runtime/errors/errors';
export type * from './types.ts';
