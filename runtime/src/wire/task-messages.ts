import * as v from 'valibot';
import { LIMITS } from './limits.ts';
import { id, name } from './schema-parts.ts';

/** Questions about tasks: those that are not over, and the latest of those that are. */

export const TASK_STATES = [
  /** A worker, or an actor, runs it. */
  'running',
  /** It was sent to one, and stands behind others there. */
  'submitted-to-worker',
  'failed',
  /** A ref among its arguments is not there. */
  'pending-args',
  /** It waits for a worker, or for its actor. */
  'pending-node-assignment',
  'finished',
] as const;
/** In the order of lists. */
export const TaskState = v.picklist(TASK_STATES);
export type TaskState = v.InferOutput<typeof TaskState>;

export const TASK_TYPES = ['task', 'actor-call'] as const;
const TaskType = v.picklist(TASK_TYPES);

const text = v.pipe(v.string(), v.maxLength(LIMITS.nameLength));

/** All that is given must hold. */
export const TaskFilter = v.object({
  type: v.optional(TaskType),
  /** Of the function, or `Class.method`. */
  name: v.optional(text),
  state: v.optional(TaskState),
  jobId: v.optional(id('job')),
  nodeId: v.optional(text),
  actorId: v.optional(id('actor')),
});
export type TaskFilter = v.InferOutput<typeof TaskFilter>;

/** A task, or a call of an actor, as its submitter knows it. */
export const TaskRow = v.object({
  type: TaskType,
  name,
  state: TaskState,
  /** Of a task. */
  taskId: v.exactOptional(v.string()),
  /** Of its result, while it is not over. */
  objectId: v.exactOptional(id('object')),
  /** Of a task. */
  jobId: v.exactOptional(id('job')),
  /** Whose method was called. */
  actorId: v.exactOptional(v.string()),
  /** Where it runs, or has run. */
  nodeId: v.exactOptional(v.string()),
  /** -1: without end. */
  retriesLeft: v.exactOptional(v.number()),
  /** What it failed with: the class of the error. */
  errorType: v.exactOptional(v.string()),
  errorMessage: v.exactOptional(v.string()),
});
export type TaskRow = v.InferOutput<typeof TaskRow>;
