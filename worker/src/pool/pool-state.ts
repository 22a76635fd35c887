import { assert } from '@manta/runtime/assert';
import type { ProcessId } from '@manta/runtime/ids';
import type { Isolation } from '@manta/runtime/wire/messages';

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
 * ```
 * (5) and (7) happen from every state; with (7) what was on the host is `lost`. A 'process' host takes one actor in its life. A
 * 'shared' or 'thread' host belongs to one group (a job and its set of devices).
 */
export type HostPhase = 'starting' | 'idle' | 'busy' | 'stopping';

/** `actorId#incarnation`. */
export type ActorKey = string;

interface HostRecord {
  readonly hostId: ProcessId;
  readonly isolation: Isolation;
  /** Of 'shared' and 'thread' hosts. */
  readonly group: string | undefined;
  phase: HostPhase;
  readonly actors: Set<ActorKey>;
  /** Assigned before the host was ready. */
  pending: ActorKey[];
}

export interface PoolSettings {
  /** 'process' hosts kept ready: one that is taken is replaced promptly. */
  poolSize: number;
  /** 'process' hosts kept ready when the node has had nothing to do for a while: a burst of actors finds them. */
  leisurePoolSize: number;
  /** Host starts at one time when actors wait for them. */
  startConcurrencyMax: number;
  /** Host starts at one time when only the pool is filled up: leaves the machine to those who work. */
  refillConcurrencyMax: number;
  /** 'shared' hosts a group gets before they are full. */
  sharedHostsPerGroup: number;
  /** Actors in one 'shared' host before another is started. */
  sharedActorsPerHost: number;
  /** Starts that may fail in a row before those who wait are told. */
  failedStartsMax: number;
}

/** What a warm host keeps in memory, beside the pages that all hosts share. */
const WARM_HOST_BYTES = 25e6;
/** Of the node's memory, for hosts that nobody has asked for yet. */
const LEISURE_MEMORY_SHARE = 0.05;
const LEISURE_POOL_SIZE_MAX = 20;

/** `poolSize`: exactly so many are kept ready, also at leisure. */
export function defaultPoolSettings(
  cpus: number,
  poolSize?: number,
  memoryBytes = 0,
): PoolSettings {
  const processors = Math.max(1, Math.floor(cpus));
  const prompt = poolSize ?? Math.max(2, processors);
  const affordable = Math.floor((memoryBytes * LEISURE_MEMORY_SHARE) / WARM_HOST_BYTES);
  const leisure = Math.max(prompt, Math.min(affordable, LEISURE_POOL_SIZE_MAX));
  return {
    poolSize: prompt,
    leisurePoolSize: poolSize ?? leisure,
    startConcurrencyMax: Math.max(2, processors),
    refillConcurrencyMax: Math.max(1, Math.floor(processors / 2)),
    sharedHostsPerGroup: Math.min(2, processors),
    sharedActorsPerHost: 50_000,
    failedStartsMax: 3,
  };
}

export interface PoolState {
  readonly settings: PoolSettings;
  readonly hosts: Map<ProcessId, HostRecord>;
  readonly hostOfActor: Map<ActorKey, ProcessId>;
  /** Hosts of each group, in the order of their start. */
  readonly groups: Map<string, HostRecord[]>;
  /** Idle 'process' hosts, the oldest first. */
  readonly idle: Set<HostRecord>;
  /** 'process' actors that no host is ready for; the first waits longest. */
  readonly waiting: Set<ActorKey>;
  startingProcessHosts: number;
  failedStarts: number;
  /** False before `open` and from `close` on: the pool is not filled up. */
  filling: boolean;
  closed: boolean;
}

export interface Assignment {
  actorKey: ActorKey;
  isolation: Isolation;
  /** Actors of different groups never share a host; unused for 'process'. */
  group: string;
}

export type PoolEvent =
  | { type: 'open' }
  | { type: 'assign'; assignments: readonly Assignment[] }
  | { type: 'ready'; hostId: ProcessId }
  /** The host says that the actor is over, or it was withdrawn before it got a host. */
  | { type: 'actor-ended'; actorKey: ActorKey }
  | { type: 'idle-timeout'; hostId: ProcessId }
  /** The node has time for one more host than it must have. */
  | { type: 'leisure' }
  | { type: 'exited'; hostId: ProcessId }
  /** None of the hosts may be used again, whatever runs on them. */
  | { type: 'discard' }
  /** As `discard`, and none is started again. */
  | { type: 'close' };

export type PoolEffect =
  | { type: 'spawn'; hostId: ProcessId; isolation: Isolation; group: string | undefined }
  | { type: 'start'; hostId: ProcessId; actorKeys: ActorKey[] }
  /** Nothing runs on the host any more: end it. */
  | { type: 'stop'; hostId: ProcessId }
  /** A host has just become empty: send `idle-timeout` after a while. */
  | { type: 'arm-idle-timeout'; hostId: ProcessId }
  /** These actors ended with the host (`hostId` of the effect), or no host could be started for them. */
  | { type: 'lost'; hostId: ProcessId; actorKeys: ActorKey[] };

export function createPoolState(settings: PoolSettings): PoolState {
  return {
    settings,
    hosts: new Map(),
    hostOfActor: new Map(),
    groups: new Map(),
    idle: new Set(),
    waiting: new Set(),
    startingProcessHosts: 0,
    failedStarts: 0,
    filling: false,
    closed: false,
  };
}

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
    case 'idle-timeout':
      idleTimeout(state, event.hostId, effects);
      break;
    case 'leisure':
      if (lacksLeisureHosts(state)) addHost(state, 'process', undefined, mintHostId, effects);
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
  for (const { actorKey, isolation, group } of assignments) {
    const host =
      isolation === 'process'
        ? takeIdleHost(state)
        : takeGroupHost(state, isolation, `${isolation}:${group}`, mintHostId, effects);
    if (host === undefined) {
      state.waiting.add(actorKey);
      continue;
    }
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

function takeIdleHost(state: PoolState): HostRecord | undefined {
  const [host] = state.idle;
  if (host !== undefined) state.idle.delete(host);
  return host;
}

/** The emptiest host of the group; a ready one before one that starts. */
function takeGroupHost(
  state: PoolState,
  isolation: Isolation,
  group: string,
  mintHostId: () => ProcessId,
  effects: PoolEffect[],
): HostRecord {
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
    const started = addHost(state, isolation, group, mintHostId, effects);
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

function addHost(
  state: PoolState,
  isolation: Isolation,
  group: string | undefined,
  mintHostId: () => ProcessId,
  effects: PoolEffect[],
): HostRecord {
  const hostId = mintHostId();
  const host: HostRecord = {
    hostId,
    isolation,
    group,
    phase: 'starting',
    actors: new Set(),
    pending: [],
  };
  state.hosts.set(hostId, host);
  if (isolation === 'process') state.startingProcessHosts += 1;
  effects.push({ type: 'spawn', hostId, isolation, group });
  return host;
}

function hostReady(state: PoolState, hostId: ProcessId, effects: PoolEffect[]): void {
  const host = state.hosts.get(hostId);
  if (host?.phase !== 'starting') return;
  state.failedStarts = 0;
  host.phase = 'idle';
  if (host.isolation === 'process') {
    state.startingProcessHosts -= 1;
    const [next] = state.waiting;
    if (next === undefined) {
      state.idle.add(host);
      return;
    }
    state.waiting.delete(next);
    place(state, host, next);
    host.pending.push(next);
  }
  // What was withdrawn meanwhile is no longer among the host's actors.
  const actorKeys = host.pending.filter((key) => host.actors.has(key));
  host.pending = [];
  if (actorKeys.length === 0) {
    effects.push({ type: 'arm-idle-timeout', hostId });
    return;
  }
  host.phase = 'busy';
  effects.push({ type: 'start', hostId, actorKeys });
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
  leaveGroup(state, host);
  const lost = [...host.actors];
  for (const actorKey of lost) state.hostOfActor.delete(actorKey);
  if (host.phase === 'starting') {
    if (host.isolation === 'process') state.startingProcessHosts -= 1;
    state.failedStarts += 1;
    if (state.failedStarts >= state.settings.failedStartsMax) {
      lost.push(...state.waiting);
      state.waiting.clear();
    }
  }
  if (lost.length > 0) effects.push({ type: 'lost', hostId, actorKeys: lost });
}

function discard(state: PoolState, effects: PoolEffect[]): void {
  state.idle.clear();
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
    addHost(state, 'process', undefined, mintHostId, effects);
  }
}
