import type { ActorEntry, ShapeQueue } from './actor-table.ts';
import { isQueued } from './actor-machine.ts';
import { causeOf } from './causes.ts';
import type { Cluster } from './cluster.ts';
import { endProcess } from './processes.ts';
import { schedule } from '../scheduling/scheduler.ts';

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
 * Places what waits. Actors of one shape are tried oldest first until one does not fit: then none of them does.
 */
function runScheduling(cluster: Cluster, now: number): void {
  cluster.schedulingIsDue = false;
  for (const queue of [...cluster.actors.queues.values()]) placeQueue(cluster, queue, now);
}

function placeQueue(cluster: Cluster, queue: ShapeQueue, now: number): void {
  for (const actorId of queue.actorIds) {
    const entry = cluster.actors.get(actorId);
    if (entry === undefined) continue;
    const result = schedule(queue.demand, cluster.nodes.living());
    if (result.outcome !== 'placed') {
      queue.refusal = result;
      if (wantsDeadNode(cluster, queue)) failQueue(cluster, queue, now);
      return;
    }
    const node = cluster.nodes.get(result.nodeId);
    if (node === undefined) return;
    cluster.reserve(entry, node, result.gpuIndexes);
    const { incarnation } = entry.record;
    const placement = { nodeId: result.nodeId, incarnation, gpuIndexes: result.gpuIndexes };
    cluster.stepActor(entry, { type: 'placed', placement }, now);
  }
}

/** A dead node never comes back under its id: waiting for it would have no end. */
function wantsDeadNode(cluster: Cluster, queue: ShapeQueue): boolean {
  const { affinity } = queue.demand;
  if (affinity === undefined || affinity.soft) return false;
  for (const node of cluster.nodes.all()) {
    if (node.nodeId === affinity.nodeId) return node.record.state === 'dead';
  }
  return false;
}

function failQueue(cluster: Cluster, queue: ShapeQueue, now: number): void {
  for (const actorId of [...queue.actorIds]) {
    const entry = cluster.actors.get(actorId);
    if (entry === undefined) continue;
    const nodeId = queue.demand.affinity?.nodeId ?? '';
    const message = `It may run on node ${nodeId} only, and that node is dead.`;
    const cause = causeOf('unschedulable', message, nodeId);
    const perNode = { ...queue.refusal?.perNode, [nodeId]: 'is dead' };
    cluster.stepActor(
      entry,
      { type: 'unschedulable', cause, errorName: 'InfeasibleError', perNode },
      now,
    );
  }
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
