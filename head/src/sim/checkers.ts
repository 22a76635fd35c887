import { assert } from '@manta/runtime/assert';
import type { ActorSpec } from '@manta/runtime/wire/messages';
import type { Cluster } from '../tables/cluster.ts';
import { awaitsArguments } from '../tables/actor-record.ts';
import type { ActorEntry } from '../tables/actor-table.ts';
import type { NodeEntry } from '../tables/node-table.ts';
import type { SimWorld } from './sim-world.ts';

/** What must hold in the tables at every moment. */
export function checkTables(cluster: Cluster): void {
  for (const node of cluster.nodes.all()) checkNode(cluster, node);
  for (const entry of cluster.actors.leases()) checkLease(cluster, entry);
  const names = new Map<string, string>();
  for (const { record, demand } of cluster.actors.all()) {
    const { actorId, name, namespace } = record.spec;
    const { placement, state } = record;
    const node = placement && cluster.nodes.get(placement.nodeId);
    if (placement !== undefined) {
      assert(node !== undefined && node.record.state !== 'dead', `${actorId} is on a dead node`);
      assert(node.reservations.has(actorId), `${actorId} is placed without a reservation`);
      assert(placement.incarnation <= record.incarnation, `${actorId} is placed ahead of its life`);
    }
    if (state === 'alive') {
      assert(placement?.incarnation === record.incarnation, `${actorId} is alive nowhere`);
      assert(record.address !== undefined, `${actorId} is alive without an address`);
    }
    const isQueued = cluster.actors.queues.get(demand.shape)?.actorIds.has(actorId) ?? false;
    const shouldBeQueued =
      state !== 'dead' && state !== 'alive' && placement === undefined && !awaitsArguments(record);
    assert(isQueued === shouldBeQueued, `${actorId} (${state}) is ${isQueued ? '' : 'not '}queued`);
    const { maxRestarts } = record.spec;
    assert(maxRestarts === -1 || record.restarts <= maxRestarts, `${actorId} restarted too often`);
    if (name === undefined || state === 'dead') continue;
    assert(!names.has(`${namespace}/${name}`), `two living actors are named ${name}`);
    names.set(`${namespace}/${name}`, actorId);
    assert(cluster.actors.named(namespace, name)?.record === record, `${name} leads elsewhere`);
  }
}

/** Reserved and free are all there is; a dead node has nothing reserved. */
function checkNode(cluster: Cluster, node: NodeEntry): void {
  const { resources, reservations, nodeId } = node;
  if (node.record.state === 'dead')
    assert(reservations.size === 0, `dead node ${nodeId} has reservations`);
  let cpus = resources.free.cpus;
  let memoryBytes = resources.free.memoryBytes;
  let shares = resources.gpus.freeShareSum;
  for (const [actorId, { set, gpuGrants }] of reservations) {
    cpus += set.cpus;
    memoryBytes += set.memoryBytes;
    for (const { share } of gpuGrants) shares += share;
    const placement = cluster.actors.get(actorId)?.record.placement;
    assert(
      placement?.nodeId === nodeId,
      `${nodeId} keeps resources for ${actorId}, which is not there`,
    );
  }
  assert(cpus === resources.total.cpus, `CPUs of ${nodeId} are not conserved`);
  assert(memoryBytes === resources.total.memoryBytes, `memory of ${nodeId} is not conserved`);
  assert(shares === resources.gpus.deviceCount * 10_000, `GPUs of ${nodeId} are not conserved`);
  assert(resources.free.memoryBytes >= 0, `memory of ${nodeId} is overdrawn`);
  assert(
    resources.free.cpus >= -takenFromLenders(cluster, node),
    `CPUs of ${nodeId} are overdrawn`,
  );
}

/** CPUs that may be used twice: those of task workers, for each may have lent its own and taken them back. */
function takenFromLenders(cluster: Cluster, { reservations }: NodeEntry): number {
  let cpus = 0;
  for (const [actorId, { set }] of reservations) {
    if (cluster.actors.get(actorId)?.record.spec.kind === 'task-worker') cpus += set.cpus;
  }
  return cpus;
}

/** A lease has lent its CPUs exactly while it is blocked, and is nobody's when its owner is gone. */
function checkLease(cluster: Cluster, { record }: ActorEntry): void {
  const { placement, isBlocked, state, spec } = record;
  const node = placement && cluster.nodes.get(placement.nodeId);
  const reservation = node?.reservations.get(spec.actorId);
  if (reservation !== undefined && state === 'alive') {
    const isLent = (reservation.lentCpus ?? 0) > 0;
    const wanted = isBlocked === true && (spec.demand.resources.cpus ?? 0) > 0;
    assert(isLent === wanted, `${spec.actorId} has ${isLent ? '' : 'not '}lent its CPUs`);
  }
  assert(
    state === 'dead' || !cluster.processes.hasEnded(spec.ownerId),
    `${spec.actorId} is the lease of a process that has ended`,
  );
  assert(
    state !== 'dead' || record.deathCause?.kind !== 'returned' || placement !== undefined,
    `${spec.actorId} was returned and is remembered`,
  );
}

/** What must hold in the world, whatever the head believes: never two incarnations, never two on one GPU. */
export function checkWorld(world: SimWorld, specs: readonly ActorSpec[]): void {
  for (const { actorId } of specs) {
    const lives = world.lives(actorId);
    assert(
      lives.length <= 1,
      `${actorId} lives on ${lives.map(({ nodeId }) => nodeId).join(' and ')}`,
    );
  }
  for (const agent of world.agents) {
    const shares = new Map<number, number>();
    for (const { spec, gpuIndexes } of agent.living.values()) {
      for (const index of gpuIndexes) {
        const share = Math.min(1, spec.demand.resources.gpus ?? 0);
        shares.set(index, (shares.get(index) ?? 0) + share);
      }
    }
    for (const [index, share] of shares)
      assert(share <= 1.0001, `GPU ${index} of ${agent.nodeId} has ${share}`);
  }
}
