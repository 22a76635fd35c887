import type { DeathCause } from '@manta/runtime/errors/death-cause';
import type { ActorId, NodeId } from '@manta/runtime/ids';
import type {
  ActorLife,
  HostedActor,
  NodeCommand,
  NodeEvent as ReportedEvent,
  NodeRegister,
} from '@manta/runtime/wire/messages';
import { startCommand } from './actor-steps.ts';
import { isGivenBack, isStartingAs } from './actor-record.ts';
import type { ActorEntry } from './actor-table.ts';
import { causeOf } from './causes.ts';
import type { Cluster } from './cluster.ts';
import { adoptBlocked, adoptLease, endReported, recallAllOf } from './leases.ts';
import { createNodeRecord, stepNode, type NodeEvent } from './node-machine.ts';
import { NodeEntry } from './node-table.ts';
import { processGone, unwatchProcess, watchProcess } from './processes.ts';

export interface RegistrationAnswer {
  refused?: string;
  killActors: ActorLife[];
}

/** A node says what it has and what runs there: tables and node agree afterwards. */
export function registerNode(
  cluster: Cluster,
  message: NodeRegister,
  now: number,
): RegistrationAnswer {
  const { actors, drivers, leases = [], idleHosts = [], ...registration } = message;
  let node = cluster.nodes.get(message.nodeId);
  if (node === undefined) {
    node = new NodeEntry(createNodeRecord(registration, now), true);
    cluster.nodes.add(node);
  }
  let isNewSession = false;
  for (const effect of stepNode(node.record, { type: 'registered', registration }, now)) {
    if (effect.type === 'refuse') return { refused: effect.reason, killActors: [] };
    if (effect.type === 'new-session') isNewSession = true;
  }
  cluster.effects.savedNodes.add(node.nodeId);
  cluster.effects.watchedNodes.add(node.nodeId);
  cluster.schedulingIsDue = true;
  node.isRegistered = true;
  if (isNewSession) forgetSession(cluster, node, now);
  for (const processId of drivers) watchProcess(cluster, processId, 'driver', node.nodeId);
  for (const processId of idleHosts) watchProcess(cluster, processId, 'host', node.nodeId);
  for (const lease of leases) adoptLease(cluster, node, lease, now);
  const killActors = reconcile(cluster, node, actors, isNewSession, now);
  adoptBlocked(cluster, node.nodeId, leases, now);
  endReported(cluster, leases, now);
  for (const { spec, incarnation } of leases) {
    const isKnown = cluster.actors.get(spec.actorId)?.record.placement?.nodeId === node.nodeId;
    if (!isKnown) killActors.push({ actorId: spec.actorId, incarnation });
  }
  return { killActors };
}

/** The agent process is another one: the processes of the former one are gone. */
function forgetSession(cluster: Cluster, node: NodeEntry, now: number): void {
  node.lastSequence = -1;
  const cause = causeOf(
    'process-died',
    `The agent of node ${node.nodeId} was started anew.`,
    node.nodeId,
  );
  for (const processId of [...node.processes])
    unwatchProcess(cluster, processId, node.nodeId, cause, now);
  node.processes.clear();
}

/** Returns what runs there and should not. */
function reconcile(
  cluster: Cluster,
  node: NodeEntry,
  hosted: readonly HostedActor[],
  isNewSession: boolean,
  now: number,
): RegistrationAnswer['killActors'] {
  const killActors: RegistrationAnswer['killActors'] = [];
  const reported = new Set<ActorId>();
  for (const actor of hosted) {
    const record = cluster.actors.get(actor.actorId)?.record;
    const isPlacedThere =
      record?.placement?.nodeId === node.nodeId &&
      record.placement.incarnation === actor.incarnation &&
      record.incarnation === actor.incarnation;
    if (record?.placement?.incarnation === actor.incarnation) reported.add(actor.actorId);
    if (isPlacedThere && record.state !== 'dead') reportStarted(cluster, node.nodeId, actor, now);
    // The process of a lease that was given back may own what others need.
    else if (!(isPlacedThere && isGivenBack(record)))
      killActors.push({ actorId: actor.actorId, incarnation: actor.incarnation });
  }
  for (const actorId of [...node.reservations.keys()]) {
    const entry = cluster.actors.get(actorId);
    if (entry === undefined) continue;
    if (reported.has(actorId)) repeatEnd(cluster, node.nodeId, entry);
    else reconcileAbsent(cluster, node.nodeId, entry, isNewSession, now);
  }
  return killActors;
}

/** The tables have it there, the node does not report it. */
function reconcileAbsent(
  cluster: Cluster,
  nodeId: NodeId,
  entry: ActorEntry,
  isNewSession: boolean,
  now: number,
): void {
  const { record } = entry;
  const { placement, spec } = record;
  if (placement === undefined) return;
  const isStarting = record.state !== 'alive' && record.state !== 'dead';
  if (isStarting && !isNewSession && placement.incarnation === record.incarnation) {
    // The command may not have arrived, or it is in its constructor: the node recognises a repeat.
    cluster.command(nodeId, startCommand(record, placement));
    return;
  }
  if (isNewSession) {
    const cause = causeOf('process-died', 'The agent of its node was started anew.', nodeId);
    cluster.stepActor(entry, { type: 'node-lost', nodeId, cause }, now);
    return;
  }
  const { incarnation } = placement;
  // The event that says how it ended is on its way; only without it the absence itself is the cause.
  const at = now + cluster.settings.absenceGraceMs;
  cluster.deadlines.add(at, { kind: 'absent-actor', actorId: spec.actorId, incarnation, nodeId });
}

/** A gentle end that was asked for before may not have arrived. */
function repeatEnd(cluster: Cluster, nodeId: NodeId, { record }: ActorEntry): void {
  const { stopping, deathCause, incarnation, state, spec } = record;
  const isReturned = isGivenBack(record);
  const cause = isReturned ? deathCause : stopping;
  if (cause === undefined || !(isReturned || state === 'alive')) return;
  const how = isReturned ? 'return' : 'stop';
  cluster.command(nodeId, { type: 'end-actor', actorId: spec.actorId, incarnation, how, cause });
}

function reportStarted(cluster: Cluster, nodeId: NodeId, actor: HostedActor, now: number): void {
  const entry = cluster.actors.get(actor.actorId);
  const { incarnation, address, pid } = actor;
  if (entry === undefined) {
    const cause = causeOf('killed', 'The head does not know this actor.', nodeId);
    cluster.command(nodeId, {
      type: 'end-actor',
      actorId: actor.actorId,
      incarnation,
      how: 'kill',
      cause,
    });
    return;
  }
  const { placement } = entry.record;
  if (placement?.nodeId === nodeId && placement.incarnation === incarnation) {
    watchProcess(cluster, address.processId, 'host', nodeId);
  }
  cluster.stepActor(entry, { type: 'started', nodeId, incarnation, address, pid }, now);
}

/**
 * Events of a node, in order; what was taken before is passed over.
 * Returns false when the node is not known in this session: it has to register first.
 */
export function reportEvents(
  cluster: Cluster,
  report: {
    nodeId: NodeId;
    sessionId: string;
    firstSequence: number;
    events: readonly ReportedEvent[];
  },
  now: number,
): boolean {
  const node = cluster.nodes.get(report.nodeId);
  if (node?.record.registration.sessionId !== report.sessionId || node.record.state === 'dead')
    return false;
  let sequence = report.firstSequence;
  for (const event of report.events) {
    if (sequence > node.lastSequence) {
      node.lastSequence = sequence;
      applyReported(cluster, node, event, now);
    }
    sequence++;
  }
  return true;
}

function applyReported(cluster: Cluster, node: NodeEntry, event: ReportedEvent, now: number): void {
  const { nodeId } = node;
  switch (event.type) {
    case 'actor-started':
      reportStarted(cluster, nodeId, event.actor, now);
      return;
    case 'actor-ended': {
      const entry = cluster.actors.get(event.actorId);
      if (entry === undefined) return;
      const { incarnation, encodedError } = event;
      const cause: DeathCause = { ...event.cause, nodeId };
      cluster.stepActor(entry, { type: 'ended', nodeId, incarnation, cause, encodedError }, now);
      return;
    }
    case 'process-ended':
      processGone(cluster, event.processId, nodeId, event.cause, now);
      return;
    case 'actor-blocked':
    case 'actor-unblocked': {
      const entry = cluster.actors.get(event.actorId);
      if (entry === undefined) return;
      const { incarnation } = event;
      const isBlocked = event.type === 'actor-blocked';
      cluster.stepActor(entry, { type: 'blocked', nodeId, incarnation, isBlocked }, now);
      return;
    }
    case 'driver-linked':
      watchProcess(cluster, event.processId, 'driver', nodeId);
  }
}

/** The failure detector's or an operator's word about a node. */
export function changeNode(
  cluster: Cluster,
  nodeId: NodeId,
  event: Exclude<NodeEvent, { type: 'registered' }>,
  now: number,
): void {
  const node = cluster.nodes.get(nodeId);
  if (node === undefined) return;
  for (const effect of stepNode(node.record, event, now)) {
    if (effect.type === 'save') cluster.effects.savedNodes.add(nodeId);
    else if (effect.type === 'usable') cluster.schedulingIsDue = true;
    else if (effect.type === 'lost') loseNode(cluster, node, effect.reason, now);
  }
}

/**
 * Commands that have never reached the node: what they were to start may start elsewhere, or there once it listens.
 * The result: those that must not be sent any more.
 */
export function takeBackStarts(
  cluster: Cluster,
  nodeId: NodeId,
  commands: readonly NodeCommand[],
  now: number,
): ReadonlySet<NodeCommand> {
  const taken = new Set<NodeCommand>();
  for (const command of commands) {
    if (command.type !== 'start-actor') continue;
    const { spec, incarnation } = command;
    const entry = cluster.actors.get(spec.actorId);
    if (entry === undefined || !isStartingAs(entry.record, nodeId, incarnation)) continue;
    cluster.stepActor(entry, { type: 'unheard', nodeId, incarnation }, now);
    taken.add(command);
  }
  return taken;
}

/** Every incarnation on it is over, every process too. */
function loseNode(cluster: Cluster, node: NodeEntry, reason: string, now: number): void {
  const { nodeId } = node;
  for (const forgotten of cluster.nodes.bury(node, cluster.settings.deadNodesMax)) {
    cluster.effects.forgottenNodes.add(forgotten);
  }
  cluster.effects.lostNodes.add(nodeId);
  cluster.effects.commands.delete(nodeId);
  cluster.schedulingIsDue = true;
  const cause = causeOf(
    'node-died',
    `Node ${node.record.registration.name} (${nodeId}) died: ${reason}.`,
    nodeId,
  );
  for (const actorId of [...node.reservations.keys()]) {
    const entry = cluster.actors.get(actorId);
    if (entry !== undefined) cluster.stepActor(entry, { type: 'node-lost', nodeId, cause }, now);
  }
  for (const processId of [...node.processes])
    unwatchProcess(cluster, processId, node.nodeId, cause, now);
  node.processes.clear();
}

export function drainNode(
  cluster: Cluster,
  nodeId: NodeId,
  options: { reason: string; deadlineMs?: number | undefined },
  now: number,
): boolean {
  const node = cluster.nodes.get(nodeId);
  if (node === undefined || node.record.state === 'dead') return false;
  changeNode(cluster, nodeId, { type: 'drain', reason: options.reason }, now);
  recallAllOf(cluster, node, now);
  if (options.deadlineMs !== undefined) {
    cluster.deadlines.add(now + options.deadlineMs, { kind: 'node-drained', nodeId });
  }
  return true;
}
