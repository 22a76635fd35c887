import type {
  JobInfo,
  JobTaskCounts,
  TaskWorkerInfo,
  WaitingDemand,
} from '@manta/runtime/wire/state-messages';
import type { ClusterTask } from '@manta/runtime/state/cluster-tasks';
import { formatAge, formatAmount, renderTable } from '../output.ts';

/** Numbers of tasks as people see them, in the order of their lives. */
function counts(tasks: JobInfo['tasks'] | JobTaskCounts): string[] {
  if (tasks === undefined) return ['-', '-', '-', '-'];
  const { queued, running, finished, failed } = tasks;
  return [queued, running, finished, failed].map(String);
}

const COUNT_HEADINGS = ['QUEUED', 'RUNNING', 'FINISHED', 'FAILED'];

export function jobTable(jobs: readonly JobInfo[], nowMs: number): string {
  const hasTasks = jobs.some(({ tasks }) => tasks !== undefined);
  const rows = jobs.map((job) => [
    job.jobId,
    job.entrypoint,
    `${job.hostname}/${job.pid}`,
    formatAge(nowMs - job.startedAt),
    ...(hasTasks ? counts(job.tasks) : []),
  ]);
  const headings = ['JOB', 'PROGRAM', 'PROCESS', 'RUNNING FOR'];
  return renderTable([...headings, ...(hasTasks ? COUNT_HEADINGS : [])], rows);
}

export function taskTable(tasks: readonly JobTaskCounts[]): string {
  const rows = tasks.map((task) => [task.name, task.jobId, ...counts(task)]);
  return renderTable(['TASK', 'JOB', ...COUNT_HEADINGS], rows);
}

export function taskRowTable(tasks: readonly ClusterTask[]): string {
  const rows = tasks.map((task) => [
    task.taskId ?? task.objectId ?? '-',
    task.name,
    task.state,
    task.jobId ?? '-',
    task.nodeId ?? '-',
    task.actorId ?? '-',
    task.submitterId,
    task.errorType === undefined ? '' : `${task.errorType}: ${task.errorMessage ?? ''}`,
  ]);
  const headings = ['TASK', 'NAME', 'STATE', 'JOB', 'NODE', 'ACTOR', 'SUBMITTED BY', 'ERROR'];
  return renderTable(headings, rows);
}

export function taskWorkerTable(workers: readonly TaskWorkerInfo[]): string {
  const rows = workers.map((worker) => [
    worker.actorId,
    worker.isBlocked ? 'waits for tasks' : worker.state,
    worker.nodeId ?? '-',
    String(worker.pid ?? '-'),
    worker.jobId,
    worker.ownerId,
  ]);
  return renderTable(['TASK WORKER', 'STATE', 'NODE', 'PID', 'JOB', 'LEASED BY'], rows);
}

/** What has no place yet, and why not on any of the nodes. */
export function waitingTable(waiting: readonly WaitingDemand[], nowMs: number): string {
  const rows = waiting.map((entry) => [
    describeDemand(entry.demand),
    waiters(entry),
    formatAge(nowMs - entry.since),
    describeReason(entry),
  ]);
  return renderTable(['WAITING FOR', 'WHO', 'FOR', 'WHY'], rows);
}

function waiters({ actors, leases }: WaitingDemand): string {
  const parts = [];
  if (actors > 0) parts.push(actors === 1 ? '1 actor' : `${actors} actors`);
  if (leases > 0) parts.push(leases === 1 ? '1 task worker' : `${leases} task workers`);
  return parts.join(', ');
}

function describeDemand({ resources, ...rest }: WaitingDemand['demand']): string {
  const { resources: custom = {}, ...plain } = resources;
  const parts: string[] = [];
  for (const [name, amount] of Object.entries({ ...plain, ...custom })) {
    if (typeof amount === 'number' && amount > 0)
      parts.push(`${name} ${formatAmount(name, amount)}`);
  }
  if (rest.gpuMemoryBytes !== undefined)
    parts.push(`GPU memory ${formatAmount('memoryBytes', rest.gpuMemoryBytes)}`);
  if (rest.acceleratorType !== undefined) parts.push(rest.acceleratorType);
  for (const [key, value] of Object.entries(rest.labels ?? {})) parts.push(`${key}=${value}`);
  if (typeof rest.scheduling === 'object') parts.push(`node ${rest.scheduling.nodeId}`);
  return parts.length === 0 ? 'any node' : parts.join(', ');
}

/** One node's reason; with several nodes that say something else, how many more there are. */
function describeReason({ outcome, perNode }: WaitingDemand): string {
  const reasons = Object.entries(perNode);
  const [first] = reasons;
  if (first === undefined) return 'the cluster has no nodes';
  const never = outcome === 'infeasible' ? 'no node could ever hold it: ' : '';
  const more = reasons.length > 1 ? ` (and ${reasons.length - 1} more)` : '';
  return `${never}${first[0]} ${first[1]}${more}`;
}
