import type * as stateMessages from '@manta/runtime/wire/state-messages';
import type { InferOutput } from 'valibot';
import { explainRefusals } from '../scheduling/scheduler.ts';
import { isTaskWorker } from '../tables/actor-record.ts';
import { firstArrival, type ShapeQueue } from '../tables/actor-table.ts';
import type { Cluster } from '../tables/cluster.ts';
import { leaseIdsOf } from '../tables/leases.ts';
import { actorInfoOf, taskWorkerInfoOf } from './descriptions.ts';

/** What the head answers to questions about its state, each within the size of one message. */
const ACTORS_PER_PAGE = 1_000;
const ACTORS_PER_PAGE_MAX = 5_000;
const TASK_WORKERS_MAX = 1_000;
const WAITING_DEMANDS_MAX = 20;

export function listActors(
  cluster: Cluster,
  filter: InferOutput<typeof stateMessages.StateActors>,
): InferOutput<typeof stateMessages.StateActorsReply> {
  const ids = cluster.actors.sortedIds();
  const limit = Math.max(1, Math.min(filter.limit ?? ACTORS_PER_PAGE, ACTORS_PER_PAGE_MAX));
  const actors: stateMessages.ActorInfo[] = [];
  for (let index = indexAfter(ids, filter.after); index < ids.length; index++) {
    const actorId = ids[index];
    const entry = actorId === undefined ? undefined : cluster.actors.get(actorId);
    if (entry === undefined) continue;
    const info = actorInfoOf(entry.record);
    if (!matches(info, filter)) continue;
    if (actors.length === limit) return { actors, next: actors[limit - 1]?.actorId };
    actors.push(info);
  }
  return { actors };
}

function indexAfter(ids: readonly string[], after: string | undefined): number {
  if (after === undefined) return 0;
  let low = 0;
  let high = ids.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((ids[middle] ?? '') <= after) low = middle + 1;
    else high = middle;
  }
  return low;
}

const FILTER_KEYS = ['className', 'name', 'namespace', 'state', 'nodeId'] as const;

function matches(
  info: stateMessages.ActorInfo,
  filter: InferOutput<typeof stateMessages.StateActors>,
): boolean {
  return FILTER_KEYS.every((key) => filter[key] === undefined || filter[key] === info[key]);
}

export function listTasks(
  cluster: Cluster,
  jobId: string | undefined,
): InferOutput<typeof stateMessages.StateTasksReply> {
  const tasks: stateMessages.JobTaskCounts[] = [];
  for (const job of cluster.jobs.all()) {
    if (jobId !== undefined && job.jobId !== jobId) continue;
    for (const counts of cluster.tasks.tasksOf(job.jobId)) {
      tasks.push({ jobId: job.jobId, ...counts });
    }
  }
  const ids = leaseIdsOf(cluster, jobId);
  const workers: stateMessages.TaskWorkerInfo[] = [];
  const workerCounts = { alive: 0, blocked: 0, waiting: 0 };
  for (const actorId of ids) {
    const record = cluster.actors.get(actorId)?.record;
    if (record === undefined) continue;
    workerCounts[record.state === 'alive' ? 'alive' : 'waiting']++;
    if (record.isBlocked) workerCounts.blocked++;
    if (workers.length < TASK_WORKERS_MAX) workers.push(taskWorkerInfoOf(record));
  }
  return { tasks, workers, workerCounts };
}

export function describeResources(
  cluster: Cluster,
): InferOutput<typeof stateMessages.StateResourcesReply> {
  const total: Record<string, number> = {};
  const available: Record<string, number> = {};
  for (const node of cluster.nodes.living()) {
    addAmounts(total, node.resources.plainTotal());
    addAmounts(available, node.resources.plainFree());
  }
  const waiting = [...cluster.actors.queues.values()]
    .sort((a, b) => firstArrival(a) - firstArrival(b))
    .slice(0, WAITING_DEMANDS_MAX)
    .map((queue) => describeWaiting(cluster, queue));
  return { total, available, waiting };
}

function describeWaiting(cluster: Cluster, queue: ShapeQueue): stateMessages.WaitingDemand {
  let leases = 0;
  let since = Infinity;
  for (const actorId of queue.actorIds.keys()) {
    const record = cluster.actors.get(actorId)?.record;
    if (record === undefined) continue;
    if (isTaskWorker(record)) leases++;
    since = Math.min(since, record.stateSince);
  }
  return {
    demand: JSON.parse(queue.demand.shape) as stateMessages.WaitingDemand['demand'],
    actors: queue.actorIds.size - leases,
    leases,
    since,
    outcome: queue.refusal?.outcome ?? 'wait',
    perNode: explainRefusals(queue.demand, cluster.nodes.living()),
  };
}

function addAmounts(sums: Record<string, number>, amounts: Record<string, number>): void {
  for (const [key, amount] of Object.entries(amounts)) {
    sums[key] = Math.round(((sums[key] ?? 0) + amount) * 10_000) / 10_000;
  }
}
