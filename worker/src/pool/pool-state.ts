import { assert } from '@manta/runtime/assert';
import type { ProcessId } from '@manta/runtime/ids';
import type { Isolation } from '@manta/runtime/wire/messages';
import { endJob, retained, retire, returned, spent, takeKeptHost } from './kept-hosts.ts';
import type {
  ActorKey,
  Assignment,
  HostRecord,
  PoolEffect,
  PoolEvent,
  PoolState,
} from './pool-records.ts';
import type { PoolSettings } from './pool-settings.ts';

/**
 * Decides which host process an actor goes to and when hosts are started. Pure: ids come from outside, time is only
 * `idle-timeout` and `leisure` events, and what must be done is returned as effects.
 *
 * ```
 *        (1) spawn              (2) ready, nobody waits          (3) assign
 *   ∅ ─────────────▶ starting ───────────────────────▶ idle ────────────────▶ busy
 *                      │  └──────(2') ready, somebody waits────────────────────▲ │
 *                      │                                │                        │ (4) last actor ended:
 *                      │                                │ (6) idle too long      │     'shared' and 'thread' → idle
 *                      │                                ▼                        │     'process' → stopping
 *                      └─────(5) discard, close─────▶ stopping ◀─────────────────┘
 *                                                       │ (7) exited
 *                                                       ▼
 *                                                       ∅
 *          (8) lease returned           (6) idle too long, too many       (7) exited
 *   busy ◀────────────────────▶ kept ◀─────────────────────────▶ retiring ────────────▶ ∅
 *          (3) assign             │         (10) retained           │
 *                                 └───────(9) its job ended─────────┴──▶ stopping
 *          (11) spent                                                 (7) exited
 *   busy ─────────────▶ spent ─────────────────────────────────────────────────▶ ∅
 *                         └───────(9)──▶ stopping
 * ```
 * (5) and (7) happen from every state; with (7) what was on the host is `lost`. A 'process' host takes one actor in its
 * life, or one lease after the other: returned, it is kept for the next lease of its group, and asked to retire when
 * it was idle for too long or too many are kept. It stays (10) while others need what it owns; while it is asked it
 * gets nothing. One that has run what it may (11) is asked at once, then every second, and gets nothing any more; what
 * it holds may keep the place of its lease until it is gone. What needs variables from the start of its process, as NODE_OPTIONS, gets a host of its own that is
 * started with them. A 'shared' or 'thread' host belongs to one group (a job, its set of devices and its variables).
 */
export function stepPool(
  state: PoolState,
  event: PoolEvent,
  mintHostId: () => ProcessId,
): PoolEffect[] {
  const effects: PoolEffect[] = [];
  switch (event.type) {
    case 'open':
      state.filling = !state.closed;
      break;
    case 'assign':
      assign(state, event.assignments, mintHostId, effects);
      break;
    case 'ready':
      hostReady(state, event.hostId, effects);
      break;
    case 'actor-ended':
      actorEnded(state, event.actorKey, effects);
      break;
    case 'returned':
      returned(state, event.actorKey, effects);
      break;
    case 'spent':
      spent(state, event, effects);
      break;
    case 'retained':
      retained(state, event.hostId, effects);
      break;
    case 'job-ended':
      endJob(state, event.jobId, effects);
      break;
    case 'idle-timeout':
      idleTimeout(state, event.hostId, effects);
      break;
    case 'leisure':
      if (lacksLeisureHosts(state)) addHost(state, mintHostId, effects);
      break;
    case 'exited':
      hostExited(state, event.hostId, effects);
      break;
    case 'discard':
      discard(state, effects);
      break;
    case 'close':
      state.filling = false;
      state.closed = true;
      discard(state, effects);
      break;
  }
  startHosts(state, mintHostId, effects);
  return effects;
}

function assign(
  state: PoolState,
  assignments: readonly Assignment[],
  mintHostId: () => ProcessId,
  effects: PoolEffect[],
): void {
  assert(!state.closed, 'an actor was assigned to a closed pool');
  const starts = new Map<ProcessId, ActorKey[]>();
  // Somebody asks again: earlier failures to start hosts may have passed.
  state.failedStarts = 0;
  for (const assignment of assignments) {
    const { actorKey, isolation, group, isLease = false } = assignment;
    const leaseGroup = isLease ? group : undefined;
    const host =
      isolation === 'process'
        ? (takeKeptHost(state, leaseGroup) ?? takeHost(state, assignment, mintHostId, effects))
        : takeGroupHost(state, assignment, mintHostId, effects);
    if (host === undefined) {
      state.waiting.set(actorKey, leaseGroup);
      continue;
    }
    host.leaseGroup = leaseGroup;
    place(state, host, actorKey);
    if (host.phase === 'starting') {
      host.pending.push(actorKey);
      continue;
    }
    host.phase = 'busy';
    const keys = starts.get(host.hostId);
    if (keys) keys.push(actorKey);
    else starts.set(host.hostId, [actorKey]);
  }
  for (const [hostId, actorKeys] of starts) effects.push({ type: 'start', hostId, actorKeys });
}

function place(state: PoolState, host: HostRecord, actorKey: ActorKey): void {
  assert(!state.hostOfActor.has(actorKey), `${actorKey} was assigned twice`);
  host.actors.add(actorKey);
  state.hostOfActor.set(actorKey, host.hostId);
}

/** An idle one; one of its own for what needs variables from the start. */
function takeHost(
  state: PoolState,
  { startVariables }: Assignment,
  mintHostId: () => ProcessId,
  effects: PoolEffect[],
): HostRecord | undefined {
  if (startVariables !== undefined) {
    const hostId = mintHostId();
    effects.push({ type: 'spawn', hostId, isolation: 'process', group: undefined, startVariables });
    return addRecord(state, hostId, 'process', undefined);
  }
  const [host] = state.idle;
  if (host !== undefined) state.idle.delete(host);
  return host;
}

/** The emptiest host of the group; a ready one before one that starts. */
function takeGroupHost(
  state: PoolState,
  { isolation, group: ofAssignment, startVariables }: Assignment,
  mintHostId: () => ProcessId,
  effects: PoolEffect[],
): HostRecord {
  const group = `${isolation}:${ofAssignment}`;
  const hosts = state.groups.get(group) ?? [];
  state.groups.set(group, hosts);
  let best: HostRecord | undefined;
  let actors = 0;
  for (const host of hosts) {
    actors += host.actors.size;
    if (best === undefined || isBetter(host, best)) best = host;
  }
  // The second host is started by the second actor, which does not wait for it.
  if (hosts.length < hostsWanted(state.settings, isolation, actors + 1)) {
    const hostId = mintHostId();
    const started = addRecord(state, hostId, isolation, group);
    effects.push({ type: 'spawn', hostId, isolation, group, startVariables });
    hosts.push(started);
    best ??= started;
  }
  assert(best !== undefined, 'a group without hosts wants none');
  return best;
}

function isBetter(host: HostRecord, best: HostRecord): boolean {
  const starting = host.phase === 'starting';
  if (starting !== (best.phase === 'starting')) return !starting;
  return host.actors.size < best.actors.size;
}

function hostsWanted(settings: PoolSettings, isolation: Isolation, actors: number): number {
  if (isolation === 'thread') return 1;
  const forRoom = Math.ceil(actors / settings.sharedActorsPerHost);
  return Math.max(Math.min(actors, settings.sharedHostsPerGroup), forRoom);
}

/** One more 'process' host for whoever comes. */
function addHost(state: PoolState, mintHostId: () => ProcessId, effects: PoolEffect[]): void {
  const hostId = mintHostId();
  addRecord(state, hostId, 'process', undefined);
  effects.push({ type: 'spawn', hostId, isolation: 'process', group: undefined });
}

function addRecord(
  state: PoolState,
  hostId: ProcessId,
  isolation: Isolation,
  group: string | undefined,
): HostRecord {
  const host: HostRecord = {
    hostId,
    isolation,
    group,
    phase: 'starting',
    leaseGroup: undefined,
    actors: new Set(),
    pending: [],
  };
  state.hosts.set(hostId, host);
  if (isolation === 'process') state.startingProcessHosts += 1;
  return host;
}

function hostReady(state: PoolState, hostId: ProcessId, effects: PoolEffect[]): void {
  const host = state.hosts.get(hostId);
  if (host?.phase !== 'starting') return;
  state.failedStarts = 0;
  host.phase = 'idle';
  if (host.isolation === 'process') {
    state.startingProcessHosts -= 1;
    if (host.pending.length === 0 && !takeWaiting(state, host)) {
      state.idle.add(host);
      return;
    }
  }
  // What was withdrawn meanwhile is no longer among the host's actors.
  const actorKeys = host.pending.filter((key) => host.actors.has(key));
  host.pending = [];
  if (actorKeys.length === 0) {
    // A 'process' host was started for that one actor.
    if (host.isolation === 'process') host.phase = 'stopping';
    effects.push({ type: host.isolation === 'process' ? 'stop' : 'arm-idle-timeout', hostId });
    return;
  }
  host.phase = 'busy';
  effects.push({ type: 'start', hostId, actorKeys });
}

function takeWaiting(state: PoolState, host: HostRecord): boolean {
  const [first] = state.waiting;
  if (first === undefined) return false;
  const [next, leaseGroup] = first;
  state.waiting.delete(next);
  host.leaseGroup = leaseGroup;
  place(state, host, next);
  host.pending.push(next);
  return true;
}

function actorEnded(state: PoolState, actorKey: ActorKey, effects: PoolEffect[]): void {
  if (state.waiting.delete(actorKey)) return;
  const hostId = state.hostOfActor.get(actorKey);
  const host = hostId === undefined ? undefined : state.hosts.get(hostId);
  state.hostOfActor.delete(actorKey);
  if (!host?.actors.delete(actorKey)) return;
  if (host.actors.size > 0 || host.phase !== 'busy') return;
  if (host.isolation === 'process') {
    host.phase = 'stopping';
    effects.push({ type: 'stop', hostId: host.hostId });
  } else {
    host.phase = 'idle';
    effects.push({ type: 'arm-idle-timeout', hostId: host.hostId });
  }
}

function idleTimeout(state: PoolState, hostId: ProcessId, effects: PoolEffect[]): void {
  const host = state.hosts.get(hostId);
  if (host?.phase === 'kept') retire(state, host, effects);
  if (host?.phase === 'spent') effects.push({ type: 'retire', hostId });
  if (host?.phase !== 'idle' || host.isolation === 'process') return;
  host.phase = 'stopping';
  leaveGroup(state, host);
  effects.push({ type: 'stop', hostId });
}

function leaveGroup(state: PoolState, host: HostRecord): void {
  if (host.group === undefined) return;
  const rest = (state.groups.get(host.group) ?? []).filter((other) => other !== host);
  if (rest.length > 0) state.groups.set(host.group, rest);
  else state.groups.delete(host.group);
}

function hostExited(state: PoolState, hostId: ProcessId, effects: PoolEffect[]): void {
  const host = state.hosts.get(hostId);
  if (host === undefined) return;
  state.hosts.delete(hostId);
  state.idle.delete(host);
  state.kept.delete(host);
  leaveGroup(state, host);
  const lost = [...host.actors];
  for (const actorKey of lost) state.hostOfActor.delete(actorKey);
  if (host.phase === 'starting') {
    if (host.isolation === 'process') state.startingProcessHosts -= 1;
    // One that was started with variables of its own says nothing about the others.
    if (host.isolation !== 'process' || host.pending.length === 0) state.failedStarts += 1;
    if (state.failedStarts >= state.settings.failedStartsMax) {
      lost.push(...state.waiting.keys());
      state.waiting.clear();
    }
  }
  if (lost.length > 0) effects.push({ type: 'lost', hostId, actorKeys: lost });
}

function discard(state: PoolState, effects: PoolEffect[]): void {
  state.idle.clear();
  state.kept.clear();
  state.groups.clear();
  for (const host of state.hosts.values()) {
    if (host.phase === 'stopping') continue;
    if (host.phase === 'starting' && host.isolation === 'process') state.startingProcessHosts -= 1;
    host.phase = 'stopping';
    effects.push({ type: 'stop', hostId: host.hostId });
  }
}

/** True when nothing is under way and one more host would be kept ready: answer with `leisure` when there is time. */
export function lacksLeisureHosts(state: PoolState): boolean {
  const { filling, settings, idle, startingProcessHosts, waiting, failedStarts } = state;
  if (!filling || startingProcessHosts > 0 || waiting.size > 0 || failedStarts > 0) return false;
  return idle.size < settings.leisurePoolSize;
}

/** Starts as many 'process' hosts as are waited for and as the pool lacks, within the two bounds. */
function startHosts(state: PoolState, mintHostId: () => ProcessId, effects: PoolEffect[]): void {
  if (state.closed || state.failedStarts >= state.settings.failedStartsMax) return;
  const { settings } = state;
  const waiting = state.waiting.size;
  const spare = state.filling ? settings.poolSize - state.idle.size : 0;
  const wanted = waiting + Math.max(0, spare);
  const bound = waiting > 0 ? settings.startConcurrencyMax : settings.refillConcurrencyMax;
  while (state.startingProcessHosts < Math.min(wanted, bound)) {
    addHost(state, mintHostId, effects);
  }
}
