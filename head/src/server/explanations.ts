import type { ProcessId } from '@manta/runtime/ids';
import type { Explanation } from '@manta/runtime/wire/actor-messages';
import { explainRefusals, type PerNode } from '../scheduling/scheduler.ts';
import { awaitsArguments, isQueued, isTaskWorker } from '../tables/actor-record.ts';
import type { ActorEntry } from '../tables/actor-table.ts';
import type { Cluster } from '../tables/cluster.ts';

const HOLDERS_SHOWN = 5;

/** What an actor waits for or why it ended, in words, and for one that waits for a place why not per node. */
export function explainActor(cluster: Cluster, entry: ActorEntry): Explanation {
  const { record } = entry;
  const { state, stateSince: since } = record;
  if (isQueued(record)) return { state, since, ...explainQueued(cluster, entry) };
  const perNode = record.perNode === undefined ? {} : { perNode: record.perNode };
  return { state, since, reason: explainPlaced(cluster, entry), ...perNode };
}

function explainQueued(cluster: Cluster, entry: ActorEntry): { reason: string; perNode: PerNode } {
  const perNode = explainRefusals(entry.demand, cluster.nodes.living());
  const before = entry.record.deathCause === undefined ? '' : `${entry.record.deathCause.message} `;
  if (cluster.nodes.livingCount === 0) {
    return { reason: `${before}It waits for a node: the cluster has none.`, perNode };
  }
  if (isTaskWorker(entry.record) && !cluster.nodes.haveAllReported()) {
    const reason = 'It waits until all nodes have reported to the head, which has just started.';
    return { reason: before + reason, perNode };
  }
  const outcome = cluster.actors.queues.get(entry.demand.shape)?.refusal?.outcome;
  const reason =
    outcome === 'infeasible'
      ? 'No node could hold it, however empty: it waits for a node that can.'
      : 'It waits for room on a node.';
  return { reason: before + reason, perNode };
}

function explainPlaced(cluster: Cluster, entry: ActorEntry): string {
  const { record } = entry;
  const { placement, state, stopping, deathCause } = record;
  if (state === 'dead') return deathCause?.message ?? 'It ended.';
  if (awaitsArguments(record)) {
    const creator = describeProcess(cluster, record.spec.ownerId);
    return `Its constructor waits for refs; ${creator}, which creates it, sends their values when they are there.`;
  }
  if (placement === undefined) return 'It waits for a node.';
  const node = cluster.nodes.get(placement.nodeId);
  const name =
    node === undefined ? placement.nodeId : `${node.record.registration.name} (${node.nodeId})`;
  const doubt =
    node?.state === 'suspect' ? `, which is suspect: ${node.reason ?? 'unknown reason'}` : '';
  if (placement.incarnation !== record.incarnation) {
    return `It waits for node ${name}${doubt} to confirm the end of its former life: ${deathCause?.message ?? ''}`;
  }
  if (stopping !== undefined) return `It ends on node ${name}${doubt}: ${stopping.message}`;
  if (record.isBlocked)
    return `Its task waits for others, and its CPUs are lent to them meanwhile; it is on node ${name}${doubt}.`;
  if (state === 'alive') {
    const place = `It runs on node ${name}${doubt}, in process ${record.pid ?? 0}.`;
    return `${place} ${explainLife(cluster, entry)}`;
  }
  const { moduleUrl } = record.spec.classReference;
  return `It starts on node ${name}${doubt}: its process is made, ${moduleUrl} loads and its constructor runs.`;
}

/** Why it lives on. */
function explainLife(cluster: Cluster, { record, holders }: ActorEntry): string {
  if (record.spec.lifetime === 'detached') return 'It is detached and lives until it is killed.';
  if (holders.size === 0) return 'Nobody has a handle of it any more: it is about to end.';
  const shown = [...holders].slice(0, HOLDERS_SHOWN).map((id) => describeProcess(cluster, id));
  const more = holders.size > shown.length ? ` and ${holders.size - shown.length} more` : '';
  return `Handles of it are in ${shown.join(', ')}${more}.`;
}

function describeProcess(cluster: Cluster, processId: ProcessId): string {
  const jobId = cluster.processes.get(processId)?.jobId;
  const job = jobId === undefined ? undefined : cluster.jobs.get(jobId);
  if (job?.processId === processId) return `driver ${job.entrypoint} (process ${job.pid})`;
  for (const { record } of cluster.actors.all()) {
    if (record.address?.processId === processId && record.state === 'alive')
      return `actor ${record.spec.actorId} (${record.spec.className})`;
  }
  return `process ${processId}`;
}
