import type { ActorSpec } from '@manta/runtime/wire/messages';
import type { StateStore } from '../store/state-store.ts';
import { isQueued, type ActorRecord } from '../tables/actor-record.ts';
import type { ActorEntry } from '../tables/actor-table.ts';
import { nodeReportMs, type Cluster } from '../tables/cluster.ts';
import type { Effects } from '../tables/effects.ts';
import type { JobRecord } from '../tables/job-table.ts';
import type { NodeRecord } from '../tables/node-machine.ts';
import { NodeEntry } from '../tables/node-table.ts';
import { ownActor } from '../tables/processes.ts';

/** Puts into the store what changed. Returns whether there was anything. */
export function saveEffects(cluster: Cluster, store: StateStore, effects: Effects): boolean {
  for (const actorId of effects.newActors) {
    const entry = cluster.actors.get(actorId);
    if (entry !== undefined) store.put('actor-specs', actorId, entry.record.spec);
  }
  for (const actorId of effects.savedActors) {
    const entry = cluster.actors.get(actorId);
    if (entry === undefined) continue;
    const { spec: _apart, ...state } = entry.record;
    store.put('actors', actorId, state);
  }
  for (const actorId of effects.forgottenActors) {
    store.delete('actors', actorId);
    store.delete('actor-specs', actorId);
  }
  for (const nodeId of effects.savedNodes) {
    const node = cluster.nodes.get(nodeId);
    if (node !== undefined) store.put('nodes', nodeId, node.record);
  }
  for (const nodeId of effects.forgottenNodes) store.delete('nodes', nodeId);
  for (const jobId of effects.savedJobs) {
    const job = cluster.jobs.get(jobId);
    if (job !== undefined) store.put('jobs', jobId, job);
  }
  for (const jobId of effects.forgottenJobs) store.delete('jobs', jobId);
  const parts = [
    effects.newActors,
    effects.savedActors,
    effects.forgottenActors,
    effects.savedNodes,
  ];
  parts.push(
    effects.forgottenNodes as never,
    effects.savedJobs as never,
    effects.forgottenJobs as never,
  );
  return parts.some((part) => part.size > 0);
}

/**
 * Fills empty tables with what a former head wrote. Nodes count as silent until they say again what runs on them;
 * those that do not within the detection time are dead. Processes have `recoveryMs` to hold again what they hold.
 */
export function recoverCluster(cluster: Cluster, store: StateStore, now: number): void {
  recoverNodes(cluster, store, now);
  recoverJobs(cluster, store);
  const actors = recoverActors(cluster, store, now);
  // Also without actors: nodes may report leases that nobody holds any more.
  if (actors.length > 0 || cluster.nodes.livingCount > 0)
    cluster.deadlines.add(now + cluster.settings.recoveryMs, { kind: 'recovered' });
}

function recoverNodes(cluster: Cluster, store: StateStore, now: number): void {
  for (const [, value] of store.load('nodes')) {
    const node = new NodeEntry(value as NodeRecord, false);
    cluster.nodes.add(node);
    if (node.record.state === 'dead') continue;
    const at = now + nodeReportMs(cluster.settings);
    cluster.deadlines.add(at, { kind: 'node-return', nodeId: node.nodeId, isLast: false });
  }
}

function recoverJobs(cluster: Cluster, store: StateStore): void {
  for (const [, value] of store.load('jobs')) {
    const job = value as JobRecord;
    cluster.jobs.add(job, cluster.settings.jobsMax);
    if (job.state !== 'running') continue;
    const process = cluster.processes.mention(job.processId);
    if (process === undefined) continue;
    process.kind = 'driver';
    process.jobId = job.jobId;
  }
}

function recoverActors(cluster: Cluster, store: StateStore, now: number): ActorEntry[] {
  const specs = new Map(store.load('actor-specs'));
  const entries: ActorEntry[] = [];
  for (const [actorId, value] of store.load('actors')) {
    const spec = specs.get(actorId) as ActorSpec | undefined;
    if (spec === undefined) continue;
    const entry = cluster.addActor({ ...(value as Omit<ActorRecord, 'spec'>), spec });
    entries.push(entry);
    recoverActor(cluster, entry, now);
  }
  return entries;
}

function recoverActor(cluster: Cluster, entry: ActorEntry, now: number): void {
  const { record } = entry;
  const { placement, spec } = record;
  if (placement !== undefined) {
    const node = cluster.nodes.get(placement.nodeId);
    if (node !== undefined && node.record.state !== 'dead') {
      cluster.reserve(entry, node, placement.gpuIndexes);
    } else record.placement = undefined;
  }
  if (record.state === 'dead') {
    const at = record.stateSince + cluster.settings.deadActorsKeptMs;
    cluster.deadlines.add(at, { kind: 'forget-actor', actorId: spec.actorId });
    return;
  }
  ownActor(cluster, entry, now);
  if (isQueued(record)) cluster.enqueue(entry, now);
}
