import type { DeathCause } from '@manta/runtime/errors/death-cause';
import type { ActorId, NodeId, ProcessId } from '@manta/runtime/ids';
import type { NodeCommand } from '@manta/runtime/wire/messages';
import { compileDemand, type CompiledDemand } from '../scheduling/demand.ts';
import { stepActor, type ActorEvent } from './actor-machine.ts';
import { isGivenBack, isTaskWorker, type ActorRecord } from './actor-record.ts';
import type { ActorEffect } from './actor-steps.ts';
import { ActorTable, type ActorEntry } from './actor-table.ts';
import { DeadlineQueue } from './deadline-queue.ts';
import { createEffects, type Effects } from './effects.ts';
import { JobTable } from './job-table.ts';
import { NodeTable, type NodeEntry } from './node-table.ts';
import { ProcessTable } from './process-table.ts';
import { SpecSharing } from './spec-sharing.ts';
import { TaskProgress } from './task-progress.ts';

export interface ClusterSettings {
  /** From the last sign of life of a node to its death. */
  readonly failureDetectionMs: number;
  /** Handles travel: an actor without holders is ended only after so long. */
  readonly releaseGraceMs: number;
  /** After a restart of the head, nodes have so long to report, or the time of failure detection if that is longer. */
  readonly nodeReturnMs: number;
  /** A process that no node watches is taken for ended after so long. */
  readonly processLinkMs: number;
  /** After a restart of the head, processes have so long to say what they hold. */
  readonly recoveryMs: number;
  /** An actor that its node no longer reports has so long to be explained by an event on its way. */
  readonly absenceGraceMs: number;
  readonly deadActorsMax: number;
  readonly deadActorsKeptMs: number;
  /** A lease that ended other than by being given back is remembered for so long. */
  readonly deadLeasesKeptMs: number;
  /** A demand that waits for so long has holders of leases asked to give some back. */
  readonly leaseRecallMs: number;
  /** A demand that waits for so long has a node held back for it. */
  readonly starvationMs: number;
  readonly deadNodesMax: number;
  readonly jobsMax: number;
}

export const DEFAULT_CLUSTER_SETTINGS: ClusterSettings = {
  failureDetectionMs: 4_500,
  releaseGraceMs: 1_000,
  nodeReturnMs: 3_000,
  processLinkMs: 60_000,
  recoveryMs: 30_000,
  absenceGraceMs: 2_000,
  deadActorsMax: 100_000,
  deadActorsKeptMs: 300_000,
  deadLeasesKeptMs: 10_000,
  leaseRecallMs: 500,
  starvationMs: 10_000,
  deadNodesMax: 1_000,
  jobsMax: 10_000,
};

export type Deadline =
  | { kind: 'out-of-scope'; actorId: ActorId }
  | { kind: 'scheduling'; actorId: ActorId; incarnation: number }
  | { kind: 'forget-actor'; actorId: ActorId }
  /** The demand of that shape still waits. */
  | { kind: 'recall-leases'; shape: string }
  /** Actors of that shape want a node that nobody knows. */
  | { kind: 'unknown-node'; shape: string }
  | { kind: 'absent-actor'; actorId: ActorId; incarnation: number; nodeId: NodeId }
  | { kind: 'process-link'; processId: ProcessId }
  | { kind: 'node-return'; nodeId: NodeId; isLast: boolean }
  | { kind: 'node-drained'; nodeId: NodeId }
  | { kind: 'recovered' };

/** So long may nodes take to report to a head that has started. */
export function nodeReportMs({ failureDetectionMs, nodeReturnMs }: ClusterSettings): number {
  return Math.max(failureDetectionMs, nodeReturnMs);
}

/** Different demands kept compiled; beyond that they are compiled again. */
const COMPILED_DEMANDS_MAX = 10_000;

/**
 * All tables of a cluster and what their changes ask of the outside. It knows no I/O: the server feeds it events and
 * carries out `takeEffects()` at the end of each turn.
 */
export class Cluster {
  readonly settings: ClusterSettings;
  readonly actors = new ActorTable();
  readonly nodes = new NodeTable();
  readonly processes = new ProcessTable();
  readonly jobs = new JobTable();
  readonly deadlines = new DeadlineQueue<Deadline>();
  readonly specs = new SpecSharing();
  readonly tasks = new TaskProgress();
  effects: Effects = createEffects();
  /** Leases that were ended before their nodes had reported them to this head: whether they were given back. */
  readonly endedUnreported = new Map<ActorId, boolean>();
  /** Until then nodes may live that have not yet reported to this head. */
  nodesMayReportUntil = 0;
  /** Something was freed or joined: what waits is looked at again. */
  schedulingIsDue = false;
  /** Processes that ended with their actor; `settleCluster` ends what they owned. */
  goneProcesses: { processId: ProcessId; cause: DeathCause }[] = [];
  readonly #demands = new Map<string, CompiledDemand>();

  constructor(settings: ClusterSettings) {
    this.settings = settings;
  }

  takeEffects(): Effects {
    const { effects } = this;
    this.effects = createEffects();
    return effects;
  }

  /** @throws InvalidArgumentError when the demand makes no sense. */
  addActor(record: ActorRecord): ActorEntry {
    const shape = JSON.stringify(record.spec.demand);
    let demand = this.#demands.get(shape);
    if (demand === undefined) {
      demand = compileDemand(record.spec.demand);
      if (this.#demands.size >= COMPILED_DEMANDS_MAX) this.#demands.clear();
      this.#demands.set(shape, demand);
    }
    const entry: ActorEntry = { record, demand, holders: new Set() };
    this.actors.add(entry);
    return entry;
  }

  /** Steps one actor and does to the other tables what follows from it. */
  stepActor(entry: ActorEntry, event: ActorEvent, now: number): void {
    for (const effect of stepActor(entry.record, event, now)) this.#apply(entry, effect, now);
    const { placement, spec } = entry.record;
    // Nobody asks after a lease that was given back.
    if (isGivenBack(entry.record) && placement === undefined) this.forgetActor(spec.actorId);
  }

  enqueue(entry: ActorEntry, now: number): void {
    const { actorId, schedulingTimeoutMs } = entry.record.spec;
    this.actors.enqueue(entry);
    this.schedulingIsDue = true;
    if (schedulingTimeoutMs === undefined) return;
    const { incarnation } = entry.record;
    this.deadlines.add(now + schedulingTimeoutMs, { kind: 'scheduling', actorId, incarnation });
  }

  /** Takes what a placed actor needs of its node. */
  reserve(entry: ActorEntry, node: NodeEntry, gpuIndexes: readonly number[]): void {
    node.reservations.set(
      entry.record.spec.actorId,
      node.resources.reserve(entry.demand, gpuIndexes),
    );
  }

  /** As `reserve`, for what runs there already: also where others have its CPUs meanwhile. */
  reserveAgain(entry: ActorEntry, node: NodeEntry, gpuIndexes: readonly number[]): boolean {
    const reservation = node.resources.reserveAgain(entry.demand, gpuIndexes);
    if (reservation !== undefined) node.reservations.set(entry.record.spec.actorId, reservation);
    return reservation !== undefined;
  }

  command(nodeId: NodeId, command: NodeCommand): void {
    const node = this.nodes.get(nodeId);
    if (node === undefined || node.record.state === 'dead') return;
    const commands = this.effects.commands.get(nodeId);
    if (commands === undefined) this.effects.commands.set(nodeId, [command]);
    else commands.push(command);
  }

  announce(entry: ActorEntry): void {
    const { spec, state } = entry.record;
    for (const processId of entry.holders) this.#announceTo(processId, spec.actorId);
    if (state === 'dead' && spec.needsOwner) this.#announceTo(spec.ownerId, spec.actorId);
  }

  #announceTo(processId: ProcessId, actorId: ActorId): void {
    const actorIds = this.effects.announcements.get(processId);
    if (actorIds === undefined) this.effects.announcements.set(processId, new Set([actorId]));
    else actorIds.add(actorId);
  }

  #apply(entry: ActorEntry, effect: ActorEffect, now: number): void {
    const { actorId } = entry.record.spec;
    switch (effect.type) {
      case 'save':
        if (!isTaskWorker(entry.record)) this.effects.savedActors.add(actorId);
        return;
      case 'save-spec':
        this.effects.savedSpecs.add(actorId);
        return;
      case 'announce':
        this.announce(entry);
        return;
      case 'enqueue':
        this.enqueue(entry, now);
        return;
      case 'dequeue':
        this.actors.dequeue(entry);
        return;
      case 'command':
        this.command(effect.nodeId, effect.command);
        return;
      case 'release':
        this.#release(actorId, effect.placement.nodeId);
        return;
      case 'lend-cpus':
      case 'reclaim-cpus':
        this.#lend(actorId, effect.nodeId, effect.type === 'lend-cpus');
        return;
      case 'process-gone':
        this.goneProcesses.push(effect);
        return;
      case 'died':
        this.#bury(entry, now);
        return;
      case 'revived':
        if (!this.actors.unbury(entry)) this.effects.savedSpecs.add(actorId);
    }
  }

  #release(actorId: ActorId, nodeId: NodeId): void {
    const node = this.nodes.get(nodeId);
    const reservation = node?.reservations.get(actorId);
    if (node === undefined || reservation === undefined) return;
    node.reservations.delete(actorId);
    node.resources.release(reservation);
    this.schedulingIsDue = true;
  }

  #lend(actorId: ActorId, nodeId: NodeId, isLent: boolean): void {
    const node = this.nodes.get(nodeId);
    const reservation = node?.reservations.get(actorId);
    if (node === undefined || reservation === undefined) return;
    const { resources, reservations } = node;
    const changed = isLent ? resources.lendCpus(reservation) : resources.reclaimCpus(reservation);
    reservations.set(actorId, changed);
    if (isLent) this.schedulingIsDue = true;
  }

  #bury(entry: ActorEntry, now: number): void {
    const { actorId, ownerId } = entry.record.spec;
    this.processes.get(ownerId)?.owned.delete(actorId);
    const { deadActorsKeptMs, deadLeasesKeptMs, deadActorsMax } = this.settings;
    if (!isGivenBack(entry.record)) {
      const keptMs = isTaskWorker(entry.record) ? deadLeasesKeptMs : deadActorsKeptMs;
      this.deadlines.add(now + keptMs, { kind: 'forget-actor', actorId });
    }
    for (const oldest of this.actors.bury(entry, deadActorsMax)) this.forgetActor(oldest);
  }

  /** False while its last incarnation may still run somewhere. */
  forgetActor(actorId: ActorId): boolean {
    const entry = this.actors.get(actorId);
    if (entry === undefined) return true;
    if (!this.actors.forget(actorId)) return false;
    for (const holder of entry.holders) this.processes.get(holder)?.held.delete(actorId);
    if (!isTaskWorker(entry.record)) this.effects.forgottenActors.add(actorId);
    return true;
  }
}
