import * as v from 'valibot';
import { DeathCauseSchema, ActorState } from './messages.ts';
import { count } from './schema-parts.ts';

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
});
export const StateJobsReply = v.object({ jobs: v.array(JobInfo) });
export const StateResourcesReply = v.object({
  total: v.record(v.string(), v.number()),
  available: v.record(v.string(), v.number()),
});
