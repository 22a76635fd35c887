import type {
  BlobRow,
  NodeObjectsReply,
  NodeProcess,
  NodeStoreReport,
  ObjectHold,
  ObjectMaker,
  ObjectRow,
  ObjectState,
} from '../wire/object-messages.ts';

/** One node's answer, or why there is none. */
export interface NodeAnswer {
  readonly nodeId: string;
  readonly name: string;
  readonly reply?: NodeObjectsReply;
  readonly silence?: string;
}

/** Where the bytes of an object are. 'memory': shared memory of a node. 'spilled': on its disk alone. */
export type ObjectWhere = 'heap' | 'memory' | 'spilled';

export interface ObjectPlace {
  nodeId: string;
  where: 'memory' | 'spilled';
}

/**
 * Why an object stays. 'local-ref': a variable, or garbage that is not collected yet. 'captured-in-actor': the same, in
 * a process that houses actors. 'running-task': in a task worker. 'in-value': another value, kept or under way, contains
 * the ref. 'call-argument': of a call that is not over. 'lent': it was given to that process, which has not said more.
 * 'durable': until `free()`.
 */
export type HoldKind =
  | 'local-ref'
  | 'captured-in-actor'
  | 'running-task'
  | 'in-value'
  | 'call-argument'
  | 'lent'
  | 'durable';

export interface ObjectHolder {
  processId: string;
  /** Where it runs; absent for a process that no node knows. */
  nodeId?: string;
  how: HoldKind;
  /** Values, or calls. */
  times?: number;
  /** One of the calls that wait. */
  call?: string;
  actorId?: string;
  className?: string;
}

/** An object of the cluster, as its owner, its holders and the nodes know it together. */
export interface ClusterObject {
  objectId: string;
  ownerId: string;
  /** Where the owner runs, or is linked. */
  ownerNodeId?: string;
  /** 'unknown': its owner has not answered, or is gone. */
  state: ObjectState | 'unknown';
  /** Of the encoded value; absent while there is none, and for primitives. */
  sizeBytes?: number;
  where?: ObjectWhere;
  /** The copies, for what is not in a heap. */
  places: ObjectPlace[];
  holders: ObjectHolder[];
  /** The task or actor call that makes its value, or made it. */
  maker?: ObjectMaker;
  error?: string;
}

/** A process as its node knows it. */
export interface ClusterProcess {
  processId: string;
  nodeId: string;
  role: 'driver' | 'host' | 'agent';
  pid?: number;
  program?: string;
  actors: NodeProcess['actors'];
  actorCount: number;
  /** Objects that it knows; absent when it did not answer. */
  objectCount?: number;
  /** Why it did not answer. */
  silence?: string;
}

export interface NodeUse {
  nodeId: string;
  name: string;
  store?: NodeStoreReport;
  silence?: string;
}

export interface ClusterObjects {
  /** The largest first. */
  objects: ClusterObject[];
  nodes: NodeUse[];
  processes: ClusterProcess[];
  /** Objects that some answer had no room for. */
  leftOut: number;
}

/** A blob, and the node that says it has it. */
type NodeBlob = BlobRow & { nodeId: string };

interface Known {
  process: ClusterProcess;
  row: ObjectRow;
}

/** Puts together what the nodes, and the processes on them, say. Pure. */
export function mergeAnswers(answers: readonly NodeAnswer[]): ClusterObjects {
  const processes = new Map<string, ClusterProcess>();
  const known = new Map<string, Known[]>();
  const blobs = new Map<string, NodeBlob[]>();
  let leftOut = 0;
  for (const { nodeId, reply } of answers) {
    for (const entry of reply?.processes ?? []) {
      const process = processOf(entry, nodeId);
      const isFirst = !processes.has(process.processId);
      if (isFirst || entry.report !== undefined) processes.set(process.processId, process);
      const { rows = [], total = 0 } = entry.report ?? {};
      leftOut += total - rows.length;
      for (const row of rows) listFor(known, row.objectId).push({ process, row });
    }
    for (const blob of reply?.blobs ?? []) listFor(blobs, blob.blobId).push({ ...blob, nodeId });
  }
  const agents = agentsOf(answers);
  const context: MergeContext = { processes, agents, blobs, durable: durableBlobs(blobs) };
  const objects = [...known.values()].map((entries) => objectOf(entries, context));
  objects.push(...durableObjects(context, known));
  return {
    objects: objects.sort((a, b) => (b.sizeBytes ?? -1) - (a.sizeBytes ?? -1)),
    nodes: nodesOf(answers),
    processes: [...processes.values()],
    leftOut,
  };
}

interface MergeContext {
  processes: ReadonlyMap<string, ClusterProcess>;
  /** Nodes by the process id of their agent. */
  agents: ReadonlyMap<string, string>;
  blobs: ReadonlyMap<string, NodeBlob[]>;
  /** By object. */
  durable: ReadonlyMap<string, NodeBlob>;
}

function objectOf(entries: readonly Known[], context: MergeContext): ClusterObject {
  const { processes, agents } = context;
  const [first] = entries as [Known, ...Known[]];
  const { objectId, ownerId } = first.row;
  const owners = entries.find(({ process }) => process.processId === ownerId)?.row;
  const durableNode = agents.get(ownerId);
  const ready = entries.find(({ row }) => row.state === 'ready')?.row;
  const best = owners ?? ready ?? writtenRow(first.row, context) ?? first.row;
  const ownerNodeId = processes.get(ownerId)?.nodeId ?? durableNode;
  const isKnown = owners !== undefined || durableNode !== undefined;
  const places = placesOf(best, context);
  const where = best.where === 'store' ? storedWhere(places) : best.where;
  const { sizeBytes, maker, error } = best;
  return {
    objectId,
    ownerId,
    ...(ownerNodeId === undefined ? {} : { ownerNodeId }),
    state: isKnown ? best.state : 'unknown',
    ...(sizeBytes === undefined ? {} : { sizeBytes }),
    ...(where === undefined ? {} : { where }),
    places,
    holders: [
      ...(durableNode === undefined ? [] : [durableHold(ownerId, durableNode)]),
      ...entries.flatMap(({ process, row }) => row.holds.map((hold) => holderOf(hold, process))),
      ...lent(owners?.borrowers ?? [], entries, processes),
    ],
    ...(maker === undefined ? {} : { maker }),
    ...(error === undefined ? {} : { error }),
  };
}

/** Of a durable object that nobody has read yet, as its node has it. */
function writtenRow(row: ObjectRow, { durable }: MergeContext): ObjectRow | undefined {
  const blob = durable.get(row.objectId);
  if (blob === undefined) return undefined;
  const { blobId, sizeBytes } = blob;
  return { ...row, state: 'ready', where: 'store', blobId, sizeBytes };
}

function durableBlobs(blobs: MergeContext['blobs']): Map<string, NodeBlob> {
  const found = new Map<string, NodeBlob>();
  for (const copies of blobs.values())
    for (const blob of copies) if (blob.objectId !== undefined) found.set(blob.objectId, blob);
  return found;
}

/** What a process stored for itself its agent does not know until it moves: then it is where it was made. */
function placesOf({ blobId, nodeId }: ObjectRow, { blobs }: MergeContext): ObjectPlace[] {
  if (blobId === undefined) return [];
  const places = (blobs.get(blobId) ?? []).map(placeOf);
  if (nodeId === undefined || places.some((place) => place.nodeId === nodeId)) return places;
  return [{ nodeId, where: 'memory' }, ...places];
}

const placeOf = ({ nodeId, where }: NodeBlob): ObjectPlace => ({
  nodeId,
  where: where === 'disk' ? 'spilled' : 'memory',
});

const storedWhere = (places: readonly ObjectPlace[]): ObjectWhere =>
  places.some(({ where }) => where === 'memory') ? 'memory' : 'spilled';

function holderOf({ how, times, call }: ObjectHold, process: ClusterProcess): ObjectHolder {
  const { processId, nodeId } = process;
  const [actor] = process.actors;
  const isLocal = how === 'local-ref' && actor !== undefined;
  return {
    processId,
    nodeId,
    how: isLocal ? (actor.isTaskWorker ? 'running-task' : 'captured-in-actor') : how,
    ...(how === 'local-ref' ? {} : { times }),
    ...(call === undefined ? {} : { call }),
    ...nameOf(process),
  };
}

/** Of the one actor of a process; in one that houses many it may be any of them. */
function nameOf({ actors, actorCount }: ClusterProcess): Partial<ObjectHolder> {
  const [actor] = actors;
  if (actor === undefined || actorCount !== 1) return {};
  return { actorId: actor.actorId, className: actor.className };
}

function lent(
  borrowers: readonly string[],
  entries: readonly Known[],
  processes: ReadonlyMap<string, ClusterProcess>,
): ObjectHolder[] {
  const saidSo = new Set(entries.map(({ process }) => process.processId));
  return borrowers
    .filter((processId) => !saidSo.has(processId))
    .map((processId) => {
      const process = processes.get(processId);
      if (process === undefined) return { processId, how: 'lent' };
      return { processId, nodeId: process.nodeId, how: 'lent', ...nameOf(process) };
    });
}

const durableHold = (processId: string, nodeId: string): ObjectHolder => ({
  processId,
  nodeId,
  how: 'durable',
});

/** Those of which no process has a ref. */
function durableObjects(
  { agents, blobs, durable }: MergeContext,
  known: ReadonlyMap<string, unknown>,
): ClusterObject[] {
  const found: ClusterObject[] = [];
  for (const [objectId, { blobId, ownerId, sizeBytes, nodeId: at }] of durable) {
    if (known.has(objectId)) continue;
    const nodeId = agents.get(ownerId) ?? at;
    const places = (blobs.get(blobId) ?? []).map(placeOf);
    const where = storedWhere(places);
    const holders = [durableHold(ownerId, nodeId)];
    const shared = { objectId, ownerId, ownerNodeId: nodeId, sizeBytes };
    found.push({ ...shared, state: 'ready', where, places, holders });
  }
  return found;
}

function processOf(entry: NodeProcess, nodeId: string): ClusterProcess {
  const { processId, role, actors, actorCount, report, silence } = entry;
  const pid = report?.pid ?? entry.pid;
  return {
    processId,
    nodeId,
    role,
    ...(pid === undefined ? {} : { pid }),
    ...(report === undefined ? {} : { program: report.program, objectCount: report.total }),
    actors,
    actorCount,
    ...(silence === undefined ? {} : { silence }),
  };
}

function agentsOf(answers: readonly NodeAnswer[]): Map<string, string> {
  return new Map(
    answers.flatMap(({ nodeId, reply }) => (reply === undefined ? [] : [[reply.agentId, nodeId]])),
  );
}

/** A node may have been asked twice; its first answer says what it has. */
function nodesOf(answers: readonly NodeAnswer[]): NodeUse[] {
  const nodes = new Map<string, NodeUse>();
  for (const answer of answers)
    if (!nodes.has(answer.nodeId)) nodes.set(answer.nodeId, nodeOf(answer));
  return [...nodes.values()];
}

function nodeOf({ nodeId, name, reply, silence }: NodeAnswer): NodeUse {
  const store = reply?.store;
  return {
    nodeId,
    name,
    ...(store === undefined ? {} : { store }),
    ...(silence === undefined ? {} : { silence }),
  };
}

function listFor<V>(lists: Map<string, V[]>, key: string): V[] {
  let list = lists.get(key);
  if (list === undefined) lists.set(key, (list = []));
  return list;
}
