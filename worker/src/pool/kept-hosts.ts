import type { JobId, ProcessId } from '@manta/runtime/ids';
import type {
  ActorKey,
  HostPhase,
  HostRecord,
  PoolEffect,
  PoolEvent,
  PoolState,
} from './pool-records.ts';

/** Hosts between two leases: the part of `pool-state.ts` that keeps, gives and retires them. */

/** Task hosts that only what they own keeps alive. */
const WITHOUT_LEASE: ReadonlySet<HostPhase> = new Set(['kept', 'retiring', 'spent']);

/** The one that has been idle for the shortest time: its caches are warm, and the others may retire. */
export function takeKeptHost(state: PoolState, group: string | undefined): HostRecord | undefined {
  if (group === undefined) return undefined;
  let latest: HostRecord | undefined;
  for (const host of state.kept) if (host.leaseGroup === group) latest = host;
  if (latest !== undefined) state.kept.delete(latest);
  return latest;
}

/** Transition 8, and 3 at once when a lease of the group waits. */
export function returned(state: PoolState, actorKey: ActorKey, effects: PoolEffect[]): void {
  const hostId = state.hostOfActor.get(actorKey);
  const host = hostId === undefined ? undefined : state.hosts.get(hostId);
  state.hostOfActor.delete(actorKey);
  if (!host?.actors.delete(actorKey) || host.phase !== 'busy') return;
  const next = firstWaiting(state, host.leaseGroup);
  if (next === undefined) {
    keep(state, host, effects);
    return;
  }
  state.waiting.delete(next);
  host.actors.add(next);
  state.hostOfActor.set(next, host.hostId);
  effects.push({ type: 'start', hostId: host.hostId, actorKeys: [next] });
}

function firstWaiting(state: PoolState, leaseGroup: string | undefined): ActorKey | undefined {
  if (leaseGroup === undefined) return undefined;
  for (const [actorKey, group] of state.waiting) if (group === leaseGroup) return actorKey;
  return undefined;
}

function keep(state: PoolState, host: HostRecord, effects: PoolEffect[]): void {
  host.phase = 'kept';
  state.kept.add(host);
  effects.push({ type: 'arm-idle-timeout', hostId: host.hostId });
  if (state.kept.size <= state.settings.keptHostsMax) return;
  const [longestIdle] = state.kept;
  if (longestIdle !== undefined) retire(state, longestIdle, effects);
}

/** Transition 6. */
export function retire(state: PoolState, host: HostRecord, effects: PoolEffect[]): void {
  state.kept.delete(host);
  host.phase = 'retiring';
  effects.push({ type: 'retire', hostId: host.hostId });
}

/** Transition 11. */
export function spent(
  state: PoolState,
  { actorKey, isHeld }: Extract<PoolEvent, { type: 'spent' }>,
  effects: PoolEffect[],
): void {
  const hostId = state.hostOfActor.get(actorKey);
  const host = hostId === undefined ? undefined : state.hosts.get(hostId);
  if (host?.phase !== 'busy') return;
  if (!isHeld) {
    state.hostOfActor.delete(actorKey);
    host.actors.delete(actorKey);
  }
  host.phase = 'spent';
  effects.push({ type: 'retire', hostId: host.hostId });
}

/** Transition 10. It is not asked again before it has been idle for a while, however many are kept. */
export function retained(state: PoolState, hostId: ProcessId, effects: PoolEffect[]): void {
  const host = state.hosts.get(hostId);
  if (host?.phase === 'spent') effects.push({ type: 'arm-retirement', hostId });
  if (host?.phase !== 'retiring') return;
  const next = firstWaiting(state, host.leaseGroup);
  host.phase = next === undefined ? 'kept' : 'busy';
  if (next === undefined) {
    state.kept.add(host);
    effects.push({ type: 'arm-idle-timeout', hostId });
    return;
  }
  state.waiting.delete(next);
  host.actors.add(next);
  state.hostOfActor.set(next, hostId);
  effects.push({ type: 'start', hostId, actorKeys: [next] });
}

/** Transition 9. */
export function endJob(state: PoolState, jobId: JobId, effects: PoolEffect[]): void {
  for (const host of state.hosts.values()) {
    if (!WITHOUT_LEASE.has(host.phase)) continue;
    if (host.leaseGroup?.startsWith(`${jobId}/`) !== true) continue;
    state.kept.delete(host);
    host.phase = 'stopping';
    effects.push({ type: 'end', hostId: host.hostId });
  }
}
