import type { DeathCause } from '@manta/runtime/errors/death-cause';
import type { ActorId, JobId, ProcessId } from '@manta/runtime/ids';
import type {
  ActorSpec,
  HostedActor,
  Isolation,
  LeaseReport,
  NodeCommand,
  NodeEvent,
  NodeRegisterInput,
  ProcessAddress,
} from '@manta/runtime/wire/messages';
import type { StartActor } from '../host/host-protocol.ts';
import type { ActorKey } from '../pool/pool-records.ts';

/**
 * The actors of one node, as its agent sees them. Pure.
 *
 * ```
 *        (1) start-actor            (2) the host says started
 *   ∅ ────────────────▶ starting ─────────────────────▶ alive
 *                          │                              │
 *                          │ (3) end-actor, or the host   │ (3)
 *                          │     says ended ('process')   │
 *                          ▼                              ▼
 *                        ending ◀─────────────────────────┘
 *                          │ (4) the host says ended ('shared', 'thread'), or the host is gone
 *                          ▼
 *                          ∅  and `actor-ended` is reported, once
 * ```
 * A lease that is returned ends as in (3) and (4), but its host says `returned` and goes on: it is over at once, unless
 * it has a device, which is free when the process is gone: `retiring` until then. While it is alive its host says when
 * its task begins and ends to wait, which is reported.
 *
 * (4) also from starting and alive. The end of a 'process' actor is reported when its process is gone, so that what
 * it held (devices, memory) is free when the head hears of it. A command is recognised by actor and incarnation: one
 * that was executed, or that an end-actor came before, does nothing. But the end of a lease is reported again: a head
 * that was started meanwhile may not have heard of it.
 */
export interface ActorRecord {
  readonly actorId: ActorId;
  readonly incarnation: number;
  readonly jobId: JobId;
  readonly className: string;
  readonly isolation: Isolation;
  readonly gracefulShutdownMs: number;
  phase: 'starting' | 'alive' | 'ending' | 'retiring';
  /** Until it has been handed to a host; specs are large and there may be 100 000 actors. */
  start: StartActor | undefined;
  hostId: ProcessId | undefined;
  address: ProcessAddress | undefined;
  pid: number;
  /** Why it is ending, when that is known before it is over. */
  cause: DeathCause | undefined;
  encodedError: Uint8Array | undefined;
  /** Of a task worker: what a head that does not know it needs. */
  readonly lease: Omit<LeaseReport, 'isBlocked' | 'isRetiring'> | undefined;
  /** Of a task worker: its task waits for others. */
  isBlocked: boolean;
}

export type HostWithActors = NonNullable<NodeRegisterInput['hosts']>[number];

export interface AgentState {
  readonly actors: Map<ActorKey, ActorRecord>;
  /** The highest incarnation of each actor that is over; the oldest entries are forgotten. */
  readonly ended: Map<ActorId, number>;
}

const ENDED_REMEMBERED = 100_000;

export type AgentEvent =
  | { type: 'commands'; commands: readonly NodeCommand[] }
  /** The pool hands these actors to a host. */
  | { type: 'handed'; actorKeys: readonly ActorKey[]; hostId: ProcessId }
  | {
      type: 'started';
      actorId: ActorId;
      incarnation: number;
      address: ProcessAddress;
      pid: number;
    }
  | {
      type: 'ended';
      actorId: ActorId;
      incarnation: number;
      cause: DeathCause;
      encodedError?: Uint8Array | undefined;
    }
  /** The host has ended the lease and is ready for another one, unless it is spent. */
  | { type: 'returned'; actorId: ActorId; incarnation: number; isSpent: boolean }
  | { type: 'blocked'; actorId: ActorId; incarnation: number; isBlocked: boolean }
  | { type: 'lost'; actorKeys: readonly ActorKey[]; cause: DeathCause };

export type AgentEffect =
  | { type: 'assign'; actors: ActorRecord[] }
  | { type: 'end'; actor: ActorRecord; how: EndHow; cause: DeathCause }
  /** Its host has nothing more to do with it (the pool may use or stop the host). */
  | { type: 'release'; actorKey: ActorKey }
  /** Its host may have the next lease. */
  | { type: 'keep-host'; actorKey: ActorKey }
  /** Its host ends as soon as nobody needs what it owns. `isHeld`: what the lease had is free only then. */
  | { type: 'retire-host'; actorKey: ActorKey; isHeld: boolean }
  | { type: 'end-job'; jobId: JobId }
  | { type: 'report'; event: NodeEvent };

export type EndHow = Extract<NodeCommand, { type: 'end-actor' }>['how'];

export function createAgentState(): AgentState {
  return { actors: new Map(), ended: new Map() };
}

export function actorKeyOf(actorId: ActorId, incarnation: number): ActorKey {
  return `${actorId}#${incarnation}`;
}

export function stepAgent(state: AgentState, event: AgentEvent): AgentEffect[] {
  switch (event.type) {
    case 'commands':
      return takeCommands(state, event.commands);
    case 'handed':
      for (const actorKey of event.actorKeys) handOver(state, actorKey, event.hostId);
      return [];
    case 'started':
      return started(state, event);
    case 'ended':
      return ended(state, event);
    case 'returned':
      return returned(state, event);
    case 'blocked':
      return blocked(state, event);
    case 'lost':
      return event.actorKeys.flatMap((actorKey) => lost(state, actorKey, event.cause));
  }
}

/**
 * What the head is told when the agent registers: actors that can be called, by where they are. Those that start are
 * reported later.
 */
export function hostedActors(state: AgentState): HostWithActors[] {
  const hosts = new Map<ProcessId, HostWithActors>();
  for (const { actorId, incarnation, address, pid } of state.actors.values()) {
    if (address === undefined) continue;
    const known = hosts.get(address.processId);
    if (known) known.actors.push([actorId, incarnation]);
    else hosts.set(address.processId, { address, pid, actors: [[actorId, incarnation]] });
  }
  return [...hosts.values()];
}

/** All task workers, also those that start. */
export function leases(state: AgentState): LeaseReport[] {
  const reports: LeaseReport[] = [];
  for (const { lease, isBlocked, phase } of state.actors.values()) {
    if (lease === undefined) continue;
    const report = { ...lease, isBlocked };
    reports.push(phase === 'retiring' ? { ...report, isRetiring: true } : report);
  }
  return reports;
}

function takeCommands(state: AgentState, commands: readonly NodeCommand[]): AgentEffect[] {
  const effects: AgentEffect[] = [];
  const starting: ActorRecord[] = [];
  for (const command of commands) {
    if (command.type === 'start-actor') {
      const record = beginStart(state, command);
      if (record !== undefined) starting.push(record);
      else effects.push(...repeatEnd(state, command));
    } else if (command.type === 'end-actor') {
      effects.push(...endActor(state, command));
    } else {
      effects.push(command);
    }
  }
  // An actor started and ended by the same message needs no host.
  const assigned = starting.filter((record) => state.actors.get(keyOf(record)) === record);
  if (assigned.length > 0) effects.unshift({ type: 'assign', actors: assigned });
  return effects;
}

function beginStart(state: AgentState, command: StartActor): ActorRecord | undefined {
  const { spec, incarnation, gpuIndexes, restarts } = command;
  if (state.actors.has(actorKeyOf(spec.actorId, incarnation))) return undefined;
  if ((state.ended.get(spec.actorId) ?? -1) >= incarnation) return undefined;
  const record: ActorRecord = {
    actorId: spec.actorId,
    incarnation,
    jobId: spec.jobId,
    className: spec.className,
    isolation: spec.isolation,
    gracefulShutdownMs: spec.gracefulShutdownMs,
    phase: 'starting',
    start: { spec, incarnation, gpuIndexes, restarts },
    hostId: undefined,
    address: undefined,
    pid: 0,
    cause: undefined,
    encodedError: undefined,
    lease: spec.kind === 'task-worker' ? { spec, incarnation, gpuIndexes } : undefined,
    isBlocked: false,
  };
  state.actors.set(keyOf(record), record);
  return record;
}

/** A head that was started meanwhile asks for a lease that is over. */
function repeatEnd(
  state: AgentState,
  { spec, incarnation }: { spec: ActorSpec; incarnation: number },
): AgentEffect[] {
  const { actorId, kind } = spec;
  if (kind !== 'task-worker' || state.actors.has(actorKeyOf(actorId, incarnation))) return [];
  const cause = { kind: 'process-died', message: 'it had ended before' };
  return [{ type: 'report', event: { type: 'actor-ended', actorId, incarnation, cause } }];
}

function endActor(
  state: AgentState,
  command: { actorId: ActorId; incarnation: number; how: EndHow; cause: DeathCause },
): AgentEffect[] {
  const { actorId, incarnation, how, cause } = command;
  const record = state.actors.get(actorKeyOf(actorId, incarnation));
  if (record === undefined) {
    // Its start may still be under way: it must find that the actor is over. The head gets its answer either way.
    rememberEnded(state, actorId, incarnation);
    return [{ type: 'report', event: { type: 'actor-ended', actorId, incarnation, cause } }];
  }
  if (record.phase === 'retiring' && how === 'return') return [];
  // A kill may follow a stop, and the host's own word on the end comes before either.
  record.cause ??= cause;
  record.phase = 'ending';
  if (record.hostId !== undefined) return [{ type: 'end', actor: record, how, cause }];
  return finish(state, record, record.cause);
}

function handOver(state: AgentState, actorKey: ActorKey, hostId: ProcessId): void {
  const record = state.actors.get(actorKey);
  if (record === undefined) return;
  record.hostId = hostId;
  record.start = undefined;
}

function started(
  state: AgentState,
  event: { actorId: ActorId; incarnation: number; address: ProcessAddress; pid: number },
): AgentEffect[] {
  const { actorId, incarnation, address, pid } = event;
  const record = state.actors.get(actorKeyOf(actorId, incarnation));
  if (record === undefined) return [];
  record.address = address;
  record.pid = pid;
  if (record.phase !== 'starting') return [];
  record.phase = 'alive';
  const actor: HostedActor = { actorId, incarnation, address, pid };
  return [{ type: 'report', event: { type: 'actor-started', actor } }];
}

function ended(
  state: AgentState,
  event: {
    actorId: ActorId;
    incarnation: number;
    cause: DeathCause;
    encodedError?: Uint8Array | undefined;
  },
): AgentEffect[] {
  const record = state.actors.get(actorKeyOf(event.actorId, event.incarnation));
  if (record === undefined) return [];
  record.cause ??= event.cause;
  record.encodedError ??= event.encodedError;
  record.phase = 'ending';
  if (record.isolation !== 'process') return finish(state, record, record.cause);
  return [{ type: 'release', actorKey: keyOf(record) }];
}

function returned(
  state: AgentState,
  { actorId, incarnation, isSpent }: { actorId: ActorId; incarnation: number; isSpent: boolean },
): AgentEffect[] {
  const actorKey = actorKeyOf(actorId, incarnation);
  const record = state.actors.get(actorKey);
  if (record?.cause === undefined) return [];
  const isHeld = record.lease !== undefined && record.lease.gpuIndexes.length > 0;
  const effects: AgentEffect[] = [
    isSpent || isHeld ? { type: 'retire-host', actorKey, isHeld } : { type: 'keep-host', actorKey },
  ];
  if (!isHeld) return [...effects, ...finish(state, record, record.cause)];
  record.phase = 'retiring';
  return effects;
}

function blocked(
  state: AgentState,
  event: { actorId: ActorId; incarnation: number; isBlocked: boolean },
): AgentEffect[] {
  const { actorId, incarnation, isBlocked } = event;
  const record = state.actors.get(actorKeyOf(actorId, incarnation));
  if (record?.phase !== 'alive' || record.isBlocked === isBlocked) return [];
  record.isBlocked = isBlocked;
  const type = isBlocked ? 'actor-blocked' : 'actor-unblocked';
  return [{ type: 'report', event: { type, actorId, incarnation } }];
}

function lost(state: AgentState, actorKey: ActorKey, cause: DeathCause): AgentEffect[] {
  const record = state.actors.get(actorKey);
  return record === undefined ? [] : finish(state, record, record.cause ?? cause);
}

function finish(state: AgentState, record: ActorRecord, cause: DeathCause): AgentEffect[] {
  const { actorId, incarnation, encodedError, address, hostId } = record;
  state.actors.delete(keyOf(record));
  rememberEnded(state, actorId, incarnation);
  const error = encodedError === undefined ? {} : { encodedError };
  const effects: AgentEffect[] = [
    { type: 'release', actorKey: keyOf(record) },
    { type: 'report', event: { type: 'actor-ended', actorId, incarnation, cause, ...error } },
  ];
  // A thread is a process of its own to others: what it owned ends with it.
  if (address !== undefined && hostId !== undefined && address.processId !== hostId) {
    const event: NodeEvent = { type: 'process-ended', processId: address.processId, cause };
    effects.push({ type: 'report', event });
  }
  return effects;
}

function rememberEnded(state: AgentState, actorId: ActorId, incarnation: number): void {
  const known = state.ended.get(actorId) ?? -1;
  // Moved to the end: the map is in the order of the last ends.
  state.ended.delete(actorId);
  state.ended.set(actorId, Math.max(known, incarnation));
  if (state.ended.size <= ENDED_REMEMBERED) return;
  const [oldest] = state.ended.keys();
  if (oldest !== undefined) state.ended.delete(oldest);
}

function keyOf(record: ActorRecord): ActorKey {
  return actorKeyOf(record.actorId, record.incarnation);
}
