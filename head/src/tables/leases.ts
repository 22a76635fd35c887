import type { ActorId, NodeId } from '@manta/runtime/ids';
import { isEmptyDemand } from '@manta/runtime/resources/node-resources';
import type { ActorSpec, LeaseReport } from '@manta/runtime/wire/messages';
import { fitOf } from '../scheduling/filters.ts';
import { createActorRecord, isQueued, isTaskWorker } from './actor-record.ts';
import type { ActorEntry, ShapeQueue } from './actor-table.ts';
import { causeOf, KILLED } from './causes.ts';
import type { Cluster } from './cluster.ts';
import type { NodeEntry } from './node-table.ts';
import { ownActor } from './processes.ts';

/** Why a spec that calls itself a task worker is none; undefined when it is one. */
export function leaseDefect(spec: ActorSpec): string | undefined {
  if (spec.isolation !== 'process') return "a task worker has isolation 'process'";
  if (spec.lifetime !== 'job') return "a task worker has lifetime 'job'";
  if (spec.maxRestarts !== 0) return 'a task worker is never restarted';
  return spec.name === undefined ? undefined : 'a task worker has no name';
}

/** Its holder gives it back, or withdraws the request. */
export function returnLease(cluster: Cluster, entry: ActorEntry, now: number): void {
  const cause = causeOf('returned', 'It was given back.');
  cluster.stepActor(entry, { type: 'return', cause }, now);
}

/**
 * A node reports a task worker that this head does not know, or only as a request that was sent again: it takes it
 * for placed there. Whether it is alive the node's other words tell.
 */
export function adoptLease(
  cluster: Cluster,
  node: NodeEntry,
  report: LeaseReport,
  now: number,
): void {
  const { spec, incarnation, gpuIndexes } = report;
  let entry = cluster.actors.get(spec.actorId);
  if (entry !== undefined && !(isTaskWorker(entry.record) && isQueued(entry.record))) return;
  if (leaseDefect(spec) !== undefined || cluster.processes.hasEnded(spec.ownerId)) return;
  const isNew = entry === undefined;
  entry ??= cluster.addActor(createActorRecord(cluster.specs.share(spec), now));
  if (!cluster.reserveAgain(entry, node, gpuIndexes)) {
    if (isNew) returnLease(cluster, entry, now);
    return;
  }
  if (isNew) ownActor(cluster, entry, now);
  else cluster.actors.dequeue(entry);
  // It may have been placed anew by the former head, as a later one than this head began with.
  entry.record.incarnation = incarnation;
  entry.record.placement = { nodeId: node.nodeId, incarnation, gpuIndexes };
}

/**
 * Somebody ends an actor. If this head knows no place of it, it may be a lease whose node is about to report it: it
 * ends then, for its holder says so only once.
 */
export function endUnreported(cluster: Cluster, actorId: ActorId, isReturned: boolean): void {
  const isPlaced = cluster.actors.get(actorId)?.record.placement !== undefined;
  if (!isPlaced && !cluster.nodes.haveAllReported())
    cluster.endedUnreported.set(actorId, isReturned);
}

/** After the node's actors are known: which of its task workers nobody has any more. */
export function endReported(cluster: Cluster, leases: readonly LeaseReport[], now: number): void {
  for (const { spec, isRetiring } of leases) {
    const isReturned = isRetiring ?? cluster.endedUnreported.get(spec.actorId);
    const entry = cluster.actors.get(spec.actorId);
    if (isReturned === undefined || entry === undefined) continue;
    cluster.endedUnreported.delete(spec.actorId);
    if (isReturned) returnLease(cluster, entry, now);
    else
      cluster.stepActor(entry, { type: 'kill', cause: KILLED, restart: false, counts: true }, now);
  }
}

/** After the node's actors are known: which of its task workers wait. */
export function adoptBlocked(
  cluster: Cluster,
  nodeId: NodeId,
  leases: readonly LeaseReport[],
  now: number,
): void {
  for (const { spec, incarnation, isBlocked } of leases) {
    const entry = cluster.actors.get(spec.actorId);
    if (entry === undefined) continue;
    cluster.stepActor(entry, { type: 'blocked', nodeId, incarnation, isBlocked }, now);
  }
}

/**
 * Actors of this demand wait, and have done so for a while: holders of leases are asked to give some back, at most one
 * for each that waits. Asked are those who hold more leases than the one who waits, so that parties end up with equal
 * shares; one that has nothing at all takes turns even with a holder of one.
 */
export function recallLeases(cluster: Cluster, queue: ShapeQueue, now: number): void {
  const shares = leaseShares(cluster);
  const candidates = [...cluster.actors.leases()].filter((entry) =>
    isUseful(cluster, entry, queue),
  );
  const content = new Set<string>();
  for (const actorId of queue.actorIds.keys()) {
    if (candidates.length === 0) return;
    const waiting = cluster.actors.get(actorId);
    const party = waiting === undefined ? '' : partyOf(waiting);
    if (waiting === undefined || content.has(party)) continue;
    const own = isTaskWorker(waiting.record) ? (shares.get(party) ?? 0) : 0;
    const index = candidates.findIndex((entry) => {
      if (partyOf(entry) === party) return false;
      return own === 0 || (shares.get(partyOf(entry)) ?? 0) > own + 1;
    });
    const [recalled] = index < 0 ? [] : candidates.splice(index, 1);
    if (recalled === undefined) {
      // Nobody has more than it: what others of it wait for is no reason either.
      content.add(party);
      continue;
    }
    shares.set(partyOf(recalled), (shares.get(partyOf(recalled)) ?? 0) - 1);
    shares.set(party, own + 1);
    cluster.stepActor(recalled, { type: 'wanted' }, now);
  }
}

/** Those who compete: one process with one demand. */
function partyOf({ record, demand }: ActorEntry): string {
  return `${record.spec.ownerId} ${demand.shape}`;
}

function leaseShares(cluster: Cluster): Map<string, number> {
  const shares = new Map<string, number>();
  for (const entry of cluster.actors.leases()) {
    if (entry.record.state === 'dead' || entry.record.placement === undefined) continue;
    const party = partyOf(entry);
    shares.set(party, (shares.get(party) ?? 0) + 1);
  }
  return shares;
}

/** Giving it back would bring those who wait nearer to a place. */
function isUseful(cluster: Cluster, { record, demand }: ActorEntry, queue: ShapeQueue): boolean {
  const { placement, state } = record;
  if (state !== 'alive' || placement === undefined || isEmptyDemand(demand)) return false;
  const node = cluster.nodes.get(placement.nodeId);
  return node !== undefined && fitOf(node, queue.demand) === 'later';
}

/** The node takes no new work: its leases are given back as soon as nothing of theirs runs. */
export function recallAllOf(cluster: Cluster, node: NodeEntry, now: number): void {
  for (const actorId of [...node.reservations.keys()]) {
    const entry = cluster.actors.get(actorId);
    if (entry === undefined || !isTaskWorker(entry.record)) continue;
    cluster.stepActor(entry, { type: 'wanted' }, now);
  }
}

/** A lease that a task asked for: others wait for that task, so nothing is held back for them. */
export function isNested(cluster: Cluster, { record }: ActorEntry): boolean {
  return isTaskWorker(record) && cluster.processes.get(record.spec.ownerId)?.kind === 'host';
}

/** Leases of a job that are known here, for lists. */
export function leaseIdsOf(cluster: Cluster, jobId: string | undefined): ActorId[] {
  const ids: ActorId[] = [];
  for (const { record } of cluster.actors.leases()) {
    if (record.state !== 'dead' && (jobId === undefined || record.spec.jobId === jobId))
      ids.push(record.spec.actorId);
  }
  return ids.sort();
}
