import * as v from 'valibot';
import { TaskCounts } from './job-messages.ts';
import { ActorState, DeathCauseSchema, Demand } from './messages.ts';
import { ObjectStoreState } from './object-store-state.ts';
import { count, id } from './schema-parts.ts';

/** What the head answers to questions about the state of the cluster. */
export const NodeInfo = v.object({
  nodeId: v.string(),
  name: v.string(),
  state: v.picklist(['alive', 'suspect', 'draining', 'dead']),
  reason: v.exactOptional(v.string()),
  resources: v.record(v.string(), v.number()),
  available: v.record(v.string(), v.number()),
  labels: v.record(v.string(), v.string()),
  gpus: v.array(
    v.object({
      index: count,
      uuid: v.string(),
      model: v.string(),
      memoryBytes: count,
      freeShare: v.number(),
    }),
  ),
  objectStore: v.exactOptional(ObjectStoreState),
});
export type NodeInfo = v.InferOutput<typeof NodeInfo>;
export const ActorInfo = v.object({
  actorId: v.string(),
  className: v.string(),
  name: v.exactOptional(v.string()),
  namespace: v.string(),
  state: ActorState,
  nodeId: v.exactOptional(v.string()),
  pid: v.exactOptional(v.number()),
  restarts: v.number(),
  deathCause: v.exactOptional(DeathCauseSchema),
});
export type ActorInfo = v.InferOutput<typeof ActorInfo>;
export const StateActors = v.object({
  className: v.optional(v.string()),
  name: v.optional(v.string()),
  namespace: v.optional(v.string()),
  state: v.optional(ActorState),
  nodeId: v.optional(v.string()),
  /** Paging: actor ids are returned in order, after this one. */
  after: v.optional(v.string()),
  limit: v.optional(count),
});
export const StateActorsReply = v.object({
  actors: v.array(ActorInfo),
  next: v.optional(v.string()),
});
export const StateNodesReply = v.object({ nodes: v.array(NodeInfo) });
export const JobInfo = v.object({
  jobId: v.string(),
  state: v.picklist(['running', 'succeeded', 'failed']),
  entrypoint: v.string(),
  pid: count,
  hostname: v.string(),
  namespace: v.string(),
  startedAt: v.number(),
  endedAt: v.exactOptional(v.number()),
  /** All tasks of the job; absent when none was ever reported. */
  tasks: v.exactOptional(v.omit(TaskCounts, ['name'])),
});
export type JobInfo = v.InferOutput<typeof JobInfo>;
export const StateJobsReply = v.object({ jobs: v.array(JobInfo) });
/** Without `jobId`: of all jobs. */
export const StateTasks = v.object({ jobId: v.optional(id('job')) });
/** A task worker: a process, alive or on its way, that a submitter has leased. */
export const TaskWorkerInfo = v.object({
  actorId: v.string(),
  jobId: v.string(),
  /** The process that submits its tasks. */
  ownerId: v.string(),
  state: ActorState,
  nodeId: v.exactOptional(v.string()),
  pid: v.exactOptional(v.number()),
  /** Its task waits for others; its CPUs are lent. */
  isBlocked: v.boolean(),
});
export type TaskWorkerInfo = v.InferOutput<typeof TaskWorkerInfo>;
export const JobTaskCounts = v.object({ jobId: v.string(), ...TaskCounts.entries });
export type JobTaskCounts = v.InferOutput<typeof JobTaskCounts>;
export const StateTasksReply = v.object({
  tasks: v.array(JobTaskCounts),
  /** At most so many as one message may hold; `workerCounts` counts all. */
  workers: v.array(TaskWorkerInfo),
  /** `blocked` are those of the `alive` whose task waits for others; `waiting` have no place or are not up yet. */
  workerCounts: v.object({ alive: count, blocked: count, waiting: count }),
});
/** Actors and leases of one demand that have no place yet, and why. */
export const WaitingDemand = v.object({
  demand: Demand,
  actors: count,
  leases: count,
  /** Milliseconds since the epoch: the oldest waits since then. */
  since: v.number(),
  outcome: v.picklist(['wait', 'infeasible']),
  perNode: v.record(v.string(), v.string()),
});
export type WaitingDemand = v.InferOutput<typeof WaitingDemand>;
export const StateResourcesReply = v.object({
  total: v.record(v.string(), v.number()),
  available: v.record(v.string(), v.number()),
  /** The demands that wait for longest. */
  waiting: v.optional(v.array(WaitingDemand)),
});
