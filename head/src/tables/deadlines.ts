import { unreachable } from '@manta/runtime/assert';
import { causeOf } from './causes.ts';
import type { Cluster, Deadline } from './cluster.ts';
import { recallLeases } from './leases.ts';
import { changeNode } from './nodes.ts';
import { armLink, armOutOfScope, endProcess, isHeld } from './processes.ts';
import { failUnplaced } from './scheduling.ts';

/** Looks at everything that is due. */
export function runDeadlines(cluster: Cluster, now: number): void {
  for (;;) {
    const deadline = cluster.deadlines.takeDue(now);
    if (deadline === undefined) return;
    meet(cluster, deadline, now);
  }
}

function meet(cluster: Cluster, deadline: Deadline, now: number): void {
  switch (deadline.kind) {
    case 'out-of-scope':
      endOutOfScope(cluster, deadline, now);
      return;
    case 'scheduling': {
      const entry = cluster.actors.get(deadline.actorId);
      if (entry?.record.incarnation === deadline.incarnation) failUnplaced(cluster, entry, now);
      return;
    }
    case 'forget-actor':
      if (!cluster.forgetActor(deadline.actorId)) {
        cluster.deadlines.add(now + cluster.settings.deadActorsKeptMs, deadline);
      }
      return;
    case 'recall-leases':
      recallForQueue(cluster, deadline, now);
      return;
    case 'unknown-node': {
      const queue = cluster.actors.queues.get(deadline.shape);
      if (queue === undefined) return;
      queue.awaitsNode = false;
      cluster.schedulingIsDue = true;
      return;
    }
    case 'absent-actor':
      endAbsent(cluster, deadline, now);
      return;
    case 'process-link':
      endUnwatchedProcess(cluster, deadline, now);
      return;
    case 'node-return':
      endUnreturnedNode(cluster, deadline, now);
      return;
    case 'node-drained':
      moveFromDrained(cluster, deadline, now);
      return;
    case 'recovered':
      endRecovery(cluster, now);
      return;
    default:
      unreachable(deadline);
  }
}

type Of<K extends Deadline['kind']> = Extract<Deadline, { kind: K }>;

function endOutOfScope(cluster: Cluster, { actorId }: Of<'out-of-scope'>, now: number): void {
  const entry = cluster.actors.get(actorId);
  if (entry === undefined || isHeld(entry)) return;
  const cause = causeOf('out-of-scope', 'Its last handle was dropped.');
  cluster.stepActor(entry, { type: 'stop', cause }, now);
}

function recallForQueue(cluster: Cluster, { shape }: Of<'recall-leases'>, now: number): void {
  const queue = cluster.actors.queues.get(shape);
  if (queue === undefined) return;
  recallLeases(cluster, queue, now);
  cluster.deadlines.add(now + cluster.settings.leaseRecallMs, { kind: 'recall-leases', shape });
}

function endAbsent(cluster: Cluster, deadline: Of<'absent-actor'>, now: number): void {
  const { actorId, nodeId, incarnation } = deadline;
  const entry = cluster.actors.get(actorId);
  if (entry === undefined) return;
  const cause = causeOf('process-died', 'Its node came back without it.', nodeId);
  cluster.stepActor(entry, { type: 'ended', nodeId, incarnation, cause }, now);
}

/** A host whose constructor still runs is not reported yet, and without nodes nobody could watch: those go on. */
function endUnwatchedProcess(
  cluster: Cluster,
  { processId }: Of<'process-link'>,
  now: number,
): void {
  const process = cluster.processes.get(processId);
  if (process === undefined || process.watchers.size > 0) return;
  const mayBeStarting = process.kind !== 'driver' && isAnythingStarting(cluster);
  if (mayBeStarting || cluster.nodes.livingCount === 0) {
    armLink(cluster, processId, now);
    return;
  }
  const cause = causeOf('process-died', 'no node has a link to it');
  endProcess(cluster, processId, cause, now);
}

function isAnythingStarting(cluster: Cluster): boolean {
  for (const { record } of cluster.actors.all()) {
    if (
      record.placement !== undefined &&
      (record.state === 'pending' || record.state === 'restarting')
    ) {
      return true;
    }
  }
  return false;
}

/** Looked at twice: a head that was stalled reads what came meanwhile before it judges. */
function endUnreturnedNode(cluster: Cluster, deadline: Of<'node-return'>, now: number): void {
  if (cluster.nodes.get(deadline.nodeId)?.isRegistered !== false) return;
  if (!deadline.isLast) {
    cluster.deadlines.add(now + cluster.settings.failureDetectionMs / 10, {
      ...deadline,
      isLast: true,
    });
    return;
  }
  const reason = 'it did not report to the restarted head in time';
  changeNode(cluster, deadline.nodeId, { type: 'gone', reason }, now);
}

/** The time to leave is over: what may restart does so elsewhere, at no cost to its restarts; the rest ends. */
function moveFromDrained(cluster: Cluster, { nodeId }: Of<'node-drained'>, now: number): void {
  const node = cluster.nodes.get(nodeId);
  if (node?.record.draining === undefined) return;
  const cause = causeOf(
    'node-died',
    `Node ${nodeId} was drained: ${node.record.draining}.`,
    nodeId,
  );
  for (const actorId of [...node.reservations.keys()]) {
    const entry = cluster.actors.get(actorId);
    if (entry === undefined) continue;
    cluster.stepActor(entry, { type: 'kill', cause, restart: true, counts: false }, now);
  }
}

/** Everybody had time to speak up: what nobody holds or owns any more ends. */
function endRecovery(cluster: Cluster, now: number): void {
  cluster.endedUnreported.clear();
  for (const process of [...cluster.processes.all()]) {
    if (process.isSeen || process.watchers.size > 0) continue;
    const cause = causeOf('process-died', 'it did not report to the restarted head');
    endProcess(cluster, process.processId, cause, now);
  }
  for (const entry of cluster.actors.all()) armOutOfScope(cluster, entry, now);
}
