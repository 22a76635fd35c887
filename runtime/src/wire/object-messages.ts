import * as v from 'valibot';
import { LIMITS } from './limits.ts';
import { Explanation } from './actor-messages.ts';
import { ObjectStoreState } from './object-store-state.ts';
import { count, id, name } from './schema-parts.ts';
import { TaskFilter, TaskRow } from './task-messages.ts';

/** Questions about objects: who holds what, where it lies, and why it is not there; and about tasks. */

/** 'lost': its last copy is gone, or its owner. 'freed': by `free()`. */
export const ObjectState = v.picklist(['pending', 'ready', 'failed', 'lost', 'freed']);
export type ObjectState = v.InferOutput<typeof ObjectState>;

/** The id of a task (tasks/task-id.ts): not one of those that are minted. */
const taskId = v.pipe(v.string(), v.maxLength(LIMITS.nameLength), v.startsWith('t_'));

const ids = <K extends 'object' | 'blob' | 'process'>(kind: K) =>
  v.pipe(v.array(id(kind)), v.maxLength(LIMITS.objectRows));

/** To one process: `inquire` of rpc/records.ts. */
export const ProcessInquiry = v.object({
  /** These alone; absent: all that it knows. */
  objectIds: v.optional(ids('object')),
  /** Of its own tasks: what became of it. */
  taskId: v.optional(taskId),
  /** Not objects: the tasks that it has submitted, and its calls of actors. */
  tasks: v.optional(TaskFilter),
  /** Say also why what was named is in its state. */
  explain: v.optional(v.boolean()),
  /** An explanation leads to another process at most so often. */
  hops: v.optional(count),
  /** Garbage is collected first: what is shown then is really held. */
  collectGarbage: v.optional(v.boolean()),
  /** Rows, the largest objects first. */
  limit: v.optional(v.pipe(count, v.maxValue(LIMITS.objectRows + 1))),
});
export type ProcessInquiry = v.InferOutput<typeof ProcessInquiry>;

/** What makes, or has made, the value. */
export const ObjectMaker = v.object({
  kind: v.picklist(['task', 'actor-call', 'argument']),
  /** Of the task, or `Class.method`. */
  name: v.string(),
  taskId: v.exactOptional(v.string()),
  actorId: v.exactOptional(v.string()),
  /** Of what has not ended. */
  phase: v.exactOptional(v.string()),
});
export type ObjectMaker = v.InferOutput<typeof ObjectMaker>;

/**
 * How a process holds a ref. 'local-ref': in a variable, or not collected yet. 'in-value': values that it keeps or sends
 * contain it. 'call-argument': of a call that is not over.
 */
export const ObjectHold = v.object({
  how: v.picklist(['local-ref', 'in-value', 'call-argument']),
  /** Values, or calls. */
  times: count,
  /** One of those calls: `Class.method` or the name of a task. */
  call: v.exactOptional(v.string()),
});
export type ObjectHold = v.InferOutput<typeof ObjectHold>;

/** One object as one process knows it. */
export const ObjectRow = v.object({
  objectId: id('object'),
  ownerId: id('process'),
  state: ObjectState,
  /** Of the encoded value; absent while there is none, and for primitives. */
  sizeBytes: v.exactOptional(count),
  /** 'heap': of this process. 'store': of the node `nodeId`, when it was made; its agents know where it is now. */
  where: v.exactOptional(v.picklist(['heap', 'store'])),
  blobId: v.exactOptional(id('blob')),
  nodeId: v.exactOptional(v.string()),
  /** What it failed with. */
  error: v.exactOptional(v.string()),
  maker: v.exactOptional(ObjectMaker),
  holds: v.array(ObjectHold),
  /** Known to the owner: processes that were given the ref, and have not given it back. */
  borrowers: v.exactOptional(v.array(id('process'))),
});
export type ObjectRow = v.InferOutput<typeof ObjectRow>;

/** What a process says of its objects. */
export const ProcessReport = v.object({
  pid: count,
  /** What the process runs. */
  program: v.string(),
  rows: v.array(ObjectRow),
  /** All that match, also those for which there was no place among the rows. */
  total: count,
  /** Asked for by `tasks`, in the order of their states. */
  tasks: v.exactOptional(v.array(TaskRow)),
  /** With `explain`, when it knows what was asked for. */
  explanation: v.exactOptional(Explanation),
});
export type ProcessReport = v.InferOutput<typeof ProcessReport>;

/** To the agent of a node. */
export const NodeObjects = v.object({
  ...ProcessInquiry.entries,
  /** These processes alone. */
  processIds: v.optional(ids('process')),
  /** Where these lie, beside those that the rows name. */
  blobIds: v.optional(ids('blob')),
  /** A process that has not answered by then is named as silent. */
  processTimeoutMs: v.optional(count),
});
export type NodeObjects = v.InferOutput<typeof NodeObjects>;
export type NodeObjectsInput = v.InferInput<typeof NodeObjects>;

export const NodeProcess = v.object({
  processId: id('process'),
  role: v.picklist(['driver', 'host']),
  pid: v.exactOptional(count),
  /** The first of those that it hosts. */
  actors: v.array(v.object({ actorId: v.string(), className: name, isTaskWorker: v.boolean() })),
  actorCount: count,
  /** Absent: it did not answer. */
  report: v.exactOptional(ProcessReport),
  /** Why it did not. */
  silence: v.exactOptional(v.string()),
});
export type NodeProcess = v.InferOutput<typeof NodeProcess>;

/** A blob that the agent answers for. What a process stored for itself it learns of only when it goes to disk. */
export const BlobRow = v.object({
  blobId: id('blob'),
  sizeBytes: count,
  ownerId: id('process'),
  where: v.picklist(['memory', 'disk']),
  /** Of a durable object, which the agent owns. */
  objectId: v.exactOptional(id('object')),
});
export type BlobRow = v.InferOutput<typeof BlobRow>;

const CountAndBytes = v.object({ count, bytes: count });

/** The store as its agent sees it. */
export const NodeStoreReport = v.object({
  ...ObjectStoreState.entries,
  /** Files with objects that were moved to disk. */
  spillFiles: count,
  /** On disk and not in memory. */
  spilled: CountAndBytes,
  /** In the agent's own memory: pulled from other nodes, read back from disk, left by processes that ended. */
  copies: CountAndBytes,
  durable: CountAndBytes,
});
export type NodeStoreReport = v.InferOutput<typeof NodeStoreReport>;

export const NodeObjectsReply = v.object({
  nodeId: id('node'),
  /** The agent, which owns what is durable. */
  agentId: id('process'),
  store: v.exactOptional(NodeStoreReport),
  processes: v.array(NodeProcess),
  blobs: v.array(BlobRow),
});
export type NodeObjectsReply = v.InferOutput<typeof NodeObjectsReply>;
