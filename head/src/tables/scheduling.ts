import type { NodeId } from '@manta/runtime/ids';
import { isEmptyDemand } from '@manta/runtime/resources/node-resources';
import { fitOf } from '../scheduling/filters.ts';
import { schedule } from '../scheduling/scheduler.ts';
import { firstArrival, type ActorEntry, type ShapeQueue } from './actor-table.ts';
import { isQueued, isTaskWorker } from './actor-record.ts';
import { causeOf } from './causes.ts';
import { nodeReportMs, type Cluster } from './cluster.ts';
import { DeadlineQueue } from './deadline-queue.ts';
import { isNested } from './leases.ts';
import type { NodeEntry } from './node-table.ts';
import { endProcess } from './processes.ts';

/** Ends what gone processes owned, then places what waits, until nothing is left to do. */
export function settleCluster(cluster: Cluster, now: number): void {
  while (cluster.goneProcesses.length > 0 || cluster.schedulingIsDue) {
    const gone = cluster.goneProcesses;
    cluster.goneProcesses = [];
    for (const { processId, cause } of gone) endProcess(cluster, processId, cause, now);
    if (cluster.goneProcesses.length === 0 && cluster.schedulingIsDue) runScheduling(cluster, now);
  }
}

/**
 * Places what waits, in the order in which it came. Actors of one shape are tried oldest first until one does not fit:
 * then none of them does, and younger ones of other shapes may go first. But what has waited for very long has a node
 * held back for it, so that a stream of small demands does not keep a large one waiting for ever.
 */
function runScheduling(cluster: Cluster, now: number): void {
  cluster.schedulingIsDue = false;
  const order = new DeadlineQueue<ShapeQueue>();
  for (const queue of cluster.actors.queues.values()) order.add(firstArrival(queue), queue);
  const heldBack = new Set<NodeId>();
  for (;;) {
    const queue = order.takeDue(Infinity);
    if (queue === undefined) return;
    if (placeFirst(cluster, queue, heldBack, now)) order.add(firstArrival(queue), queue);
  }
}

/** Places the oldest of the queue. False when it does not fit, or was the last. */
function placeFirst(
  cluster: Cluster,
  queue: ShapeQueue,
  heldBack: Set<NodeId>,
  now: number,
): boolean {
  const [actorId] = queue.actorIds.keys();
  const entry = actorId === undefined ? undefined : cluster.actors.get(actorId);
  if (entry === undefined) return false;
  const result = schedule(queue.demand, nodesFor(cluster, entry, heldBack));
  const node = result.outcome === 'placed' ? cluster.nodes.get(result.nodeId) : undefined;
  if (result.outcome !== 'placed' || node === undefined) {
    if (result.outcome !== 'placed') queue.refusal = result;
    refuse(cluster, queue, entry, heldBack, now);
    return false;
  }
  const { incarnation } = entry.record;
  cluster.reserve(entry, node, result.gpuIndexes);
  const placement = { nodeId: result.nodeId, incarnation, gpuIndexes: result.gpuIndexes };
  cluster.stepActor(entry, { type: 'placed', placement }, now);
  return queue.actorIds.size > 0;
}

/**
 * The nodes it may go to now. A lease may run already on a node that has not yet reported to a restarted head: until
 * all have, none is placed.
 */
function nodesFor(
  cluster: Cluster,
  entry: ActorEntry,
  heldBack: ReadonlySet<NodeId>,
): Iterable<NodeEntry> {
  if (isTaskWorker(entry.record) && !cluster.nodes.haveAllReported()) return [];
  if (heldBack.size === 0 || isEmptyDemand(entry.demand) || isNested(cluster, entry))
    return cluster.nodes.living();
  return [...cluster.nodes.living()].filter(({ nodeId }) => !heldBack.has(nodeId));
}

function refuse(
  cluster: Cluster,
  queue: ShapeQueue,
  entry: ActorEntry,
  heldBack: Set<NodeId>,
  now: number,
): void {
  if (isWithoutNode(cluster, queue, now)) return;
  const { leaseRecallMs, starvationMs } = cluster.settings;
  if (!queue.isRecalling) {
    queue.isRecalling = true;
    const { shape } = queue.demand;
    cluster.deadlines.add(now + leaseRecallMs, { kind: 'recall-leases', shape });
  }
  if (now - entry.record.stateSince < starvationMs) return;
  const node = nearestNode(cluster, queue, heldBack);
  if (node !== undefined) heldBack.add(node.nodeId);
}

/** Where it will fit soonest, as far as can be told: the least used node that could hold it. */
function nearestNode(
  cluster: Cluster,
  queue: ShapeQueue,
  heldBack: ReadonlySet<NodeId>,
): NodeEntry | undefined {
  let nearest: NodeEntry | undefined;
  for (const node of cluster.nodes.living()) {
    if (heldBack.has(node.nodeId) || fitOf(node, queue.demand) !== 'later') continue;
    if (nearest === undefined || node.resources.utilisation < nearest.resources.utilisation)
      nearest = node;
  }
  return nearest;
}

/**
 * Whether the one node that will do is not there; then those are failed whose waiting would have no end. A dead node
 * never comes back under its id. One that nobody knows may be about to join, or to report to a head that has just
 * started, and gets the time for it.
 */
function isWithoutNode(cluster: Cluster, queue: ShapeQueue, now: number): boolean {
  const { affinity } = queue.demand;
  if (affinity === undefined || affinity.soft) return false;
  const node = cluster.nodes.get(affinity.nodeId as NodeId);
  if (node !== undefined && node.record.state !== 'dead') return false;
  let nextAt = Infinity;
  for (const actorId of [...queue.actorIds.keys()]) {
    const entry = cluster.actors.get(actorId);
    if (entry === undefined) continue;
    const waitsUntil = entry.record.stateSince + nodeReportMs(cluster.settings);
    const failsAt = Math.max(waitsUntil, cluster.nodesMayReportUntil);
    if (node !== undefined) failForNode(cluster, entry, 'is dead', now);
    else if (failsAt <= now) failForNode(cluster, entry, 'is not in the cluster', now);
    else nextAt = Math.min(nextAt, failsAt);
  }
  if (nextAt !== Infinity && queue.awaitsNode !== true) {
    queue.awaitsNode = true;
    cluster.deadlines.add(nextAt, { kind: 'unknown-node', shape: queue.demand.shape });
  }
  return true;
}

function failForNode(cluster: Cluster, entry: ActorEntry, state: string, now: number): void {
  const nodeId = entry.demand.affinity?.nodeId ?? '';
  const message = `It may run on node ${nodeId} only, and that node ${state}.`;
  const cause = causeOf('unschedulable', message, nodeId);
  const refusal = cluster.actors.queues.get(entry.demand.shape)?.refusal;
  const perNode = { ...refusal?.perNode, [nodeId]: state };
  cluster.stepActor(
    entry,
    { type: 'unschedulable', cause, errorName: 'InfeasibleError', perNode },
    now,
  );
}

/** The actor's schedulingTimeoutMs is over. */
export function failUnplaced(cluster: Cluster, entry: ActorEntry, now: number): void {
  if (!isQueued(entry.record)) return;
  const refusal = cluster.actors.queues.get(entry.demand.shape)?.refusal;
  const isInfeasible = refusal?.outcome === 'infeasible';
  const waited = `within ${entry.record.spec.schedulingTimeoutMs} ms`;
  const message = isInfeasible
    ? `No node can hold it, however empty, and none came ${waited}.`
    : `No node had room for it ${waited}.`;
  const errorName = isInfeasible ? 'InfeasibleError' : 'SchedulingTimeoutError';
  const cause = causeOf('unschedulable', message);
  cluster.stepActor(
    entry,
    { type: 'unschedulable', cause, errorName, perNode: refusal?.perNode ?? {} },
    now,
  );
}
