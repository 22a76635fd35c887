import type { DeathCause } from '@manta/runtime/errors/death-cause';
import type { ActorId, JobId, NodeId, ProcessId } from '@manta/runtime/ids';
import type { JobProgress } from '@manta/runtime/wire/job-messages';
import type { ActorLife } from '@manta/runtime/wire/messages';
import { diesWithOwner } from './actor-record.ts';
import type { ActorEntry } from './actor-table.ts';
import { causeOf } from './causes.ts';
import type { Cluster } from './cluster.ts';
import { stepJob, type JobRecord } from './job-table.ts';
import type { ProcessEntry } from './process-table.ts';

/** From the first mention on, somebody has to watch a process: else its end would never be known. */
function mentionProcess(
  cluster: Cluster,
  processId: ProcessId,
  now: number,
): ProcessEntry | undefined {
  const known = cluster.processes.get(processId);
  if (known !== undefined) return known;
  const process = cluster.processes.mention(processId);
  if (process !== undefined) armLink(cluster, processId, now);
  return process;
}

export function armLink(cluster: Cluster, processId: ProcessId, now: number): void {
  const { processLinkMs } = cluster.settings;
  cluster.deadlines.add(now + processLinkMs, { kind: 'process-link', processId });
}

/** A process holds handles of these actors. Ids that are not known are passed over. */
export function holdActors(
  cluster: Cluster,
  processId: ProcessId,
  actorIds: readonly ActorId[],
  now: number,
): void {
  const process = mentionProcess(cluster, processId, now);
  if (process === undefined) return;
  process.isSeen = true;
  for (const actorId of actorIds) {
    const entry = cluster.actors.get(actorId);
    if (entry !== undefined) holdOne(process, entry);
  }
}

function holdOne(process: ProcessEntry, entry: ActorEntry): void {
  process.held.add(entry.record.spec.actorId);
  entry.holders.add(process.processId);
}

export function releaseActors(
  cluster: Cluster,
  processId: ProcessId,
  actorIds: Iterable<ActorId>,
  now: number,
): void {
  const process = cluster.processes.get(processId);
  for (const actorId of actorIds) {
    process?.held.delete(actorId);
    const entry = cluster.actors.get(actorId);
    // Under an id that only stands for it nobody holds it for long.
    if (entry?.record.spec.actorId !== actorId) continue;
    if (entry.holders.delete(processId)) armOutOfScope(cluster, entry, now);
  }
}

/** Starts the grace time of an actor that may have lost its last holder. */
export function armOutOfScope(cluster: Cluster, entry: ActorEntry, now: number): void {
  if (isHeld(entry)) return;
  const { actorId } = entry.record.spec;
  cluster.deadlines.add(now + cluster.settings.releaseGraceMs, { kind: 'out-of-scope', actorId });
}

/** A detached actor needs no holder; a process of its own that holds its own actor does not count. */
export function isHeld(entry: ActorEntry): boolean {
  const { record, holders } = entry;
  if (record.state === 'dead' || record.spec.lifetime === 'detached') return true;
  if (holders.size !== 1 || record.spec.isolation === 'shared') return holders.size > 0;
  return record.address === undefined || !holders.has(record.address.processId);
}

export function ownActor(cluster: Cluster, entry: ActorEntry, now: number): void {
  const { ownerId, actorId } = entry.record.spec;
  const owner = mentionProcess(cluster, ownerId, now);
  if (owner === undefined) return;
  if (diesWithOwner(entry.record) && entry.record.state !== 'dead') owner.owned.add(actorId);
}

/** For results that are made again by an actor that went out of scope: it dies with its owner as before. */
export function reviveActors(cluster: Cluster, actorIds: readonly ActorId[], now: number): void {
  for (const actorId of actorIds) {
    const entry = cluster.actors.get(actorId);
    if (entry === undefined || cluster.processes.hasEnded(entry.record.spec.ownerId)) continue;
    cluster.stepActor(entry, { type: 'revive' }, now);
    ownActor(cluster, entry, now);
  }
}

/** Processes have spoken to these lives of actors, whether their nodes have reported them or not. */
export function noteLives(cluster: Cluster, lives: readonly ActorLife[], now: number): void {
  for (const { actorId, incarnation } of lives) {
    const entry = cluster.actors.get(actorId);
    if (entry !== undefined) cluster.stepActor(entry, { type: 'lived', incarnation }, now);
  }
}

/** A node says that it watches this process. */
export function watchProcess(
  cluster: Cluster,
  processId: ProcessId,
  kind: 'driver' | 'host',
  nodeId: NodeId,
): void {
  const process = cluster.processes.mention(processId);
  const node = cluster.nodes.get(nodeId);
  if (process === undefined || node === undefined) return;
  process.kind = kind;
  process.watchers.add(nodeId);
  process.isSeen = true;
  node.processes.add(processId);
}

/** A node that watched it is gone. A driver may link to another one; a host lived and died with its node. */
export function unwatchProcess(
  cluster: Cluster,
  processId: ProcessId,
  nodeId: NodeId,
  cause: DeathCause,
  now: number,
): void {
  const process = cluster.processes.get(processId);
  if (process === undefined) return;
  process.watchers.delete(nodeId);
  if (process.kind === 'host') endProcess(cluster, processId, cause, now);
  else if (process.watchers.size === 0) armLink(cluster, processId, now);
}

/** A node says that the process has ended. Of a driver that another node watches it knows no more than its own link. */
export function processGone(
  cluster: Cluster,
  processId: ProcessId,
  nodeId: NodeId,
  cause: DeathCause,
  now: number,
): void {
  const watchers = cluster.processes.get(processId)?.watchers;
  watchers?.delete(nodeId);
  cluster.nodes.get(nodeId)?.processes.delete(processId);
  if (watchers === undefined || watchers.size === 0) endProcess(cluster, processId, cause, now);
}

/** All that it owned dies, all that it held is released; a driver's job is over. */
export function endProcess(
  cluster: Cluster,
  processId: ProcessId,
  cause: DeathCause,
  now: number,
): void {
  const process = cluster.processes.end(processId);
  if (process === undefined) return;
  cluster.tasks.processEnded(processId);
  for (const nodeId of process.watchers) cluster.nodes.get(nodeId)?.processes.delete(processId);
  const what = process.kind === 'driver' ? 'The driver' : 'The process';
  for (const actorId of [...process.owned]) {
    const entry = cluster.actors.get(actorId);
    if (entry === undefined) continue;
    const ownerDied = causeOf('owner-died', `${what} that created it is gone: ${cause.message}`);
    cluster.stepActor(
      entry,
      { type: 'kill', cause: ownerDied, restart: false, counts: false },
      now,
    );
  }
  releaseActors(cluster, processId, process.held, now);
  if (process.jobId !== undefined) endJobOf(cluster, process.jobId, now);
}

export function startJob(cluster: Cluster, record: JobRecord, now: number): void {
  const known = cluster.jobs.get(record.jobId);
  if (known === undefined) {
    for (const jobId of cluster.jobs.add(record, cluster.settings.jobsMax)) {
      cluster.effects.forgottenJobs.add(jobId);
      cluster.tasks.forgetJob(jobId);
    }
    cluster.effects.savedJobs.add(record.jobId);
  }
  const process = mentionProcess(cluster, record.processId, now);
  if (process === undefined) return;
  process.kind = 'driver';
  process.jobId = record.jobId;
  process.isSeen = true;
}

/** The driver says that its job is done. */
export function endJob(cluster: Cluster, jobId: JobId, processId: ProcessId, now: number): void {
  const job = cluster.jobs.get(jobId);
  if (job?.processId === processId && stepJob(job, { type: 'ended' }, now))
    cluster.effects.savedJobs.add(jobId);
  endProcess(cluster, processId, causeOf('exited', 'its job ended'), now);
}

function endJobOf(cluster: Cluster, jobId: JobId, now: number): void {
  const job = cluster.jobs.get(jobId);
  if (job !== undefined && stepJob(job, { type: 'driver-lost' }, now))
    cluster.effects.savedJobs.add(jobId);
  killOrphansOfJob(cluster, jobId, now);
  for (const { nodeId } of cluster.nodes.living()) {
    cluster.command(nodeId, { type: 'end-job', jobId });
  }
}

/** What a process says of the tasks that it submits. */
export function reportProgress(cluster: Cluster, progress: JobProgress, now: number): void {
  const { jobId, processId, tasks } = progress;
  if (cluster.jobs.get(jobId) === undefined) return;
  if (mentionProcess(cluster, processId, now) === undefined) return;
  cluster.tasks.report(jobId, processId, tasks);
}

/** What a job's processes created while no node knew of them yet (in a constructor) has no other end. */
function killOrphansOfJob(cluster: Cluster, jobId: JobId, now: number): void {
  for (const entry of cluster.actors.all()) {
    const { spec, state } = entry.record;
    if (spec.jobId !== jobId || !diesWithOwner(entry.record) || state === 'dead') continue;
    const owner = cluster.processes.get(spec.ownerId);
    if ((owner?.watchers.size ?? 0) > 0 || owner?.kind === 'driver') continue;
    const cause = causeOf(
      'owner-died',
      'Its job is over, and the process that created it is not known any more.',
    );
    cluster.stepActor(entry, { type: 'kill', cause, restart: false, counts: false }, now);
  }
}
