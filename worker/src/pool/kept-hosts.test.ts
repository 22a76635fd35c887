import fc from 'fast-check';
import type { JobId, ProcessId } from '@manta/runtime/ids';
import { describe, expect, it } from 'vitest';
import { testMint } from '../testing/fake-head.ts';
import {
  createPoolState,
  type PoolEffect,
  type PoolEvent,
  type PoolState,
} from './pool-records.ts';
import { defaultPoolSettings } from './pool-settings.ts';
import { stepPool } from './pool-state.ts';

const mintHostId = (): ProcessId => testMint('process');
const of = <T extends PoolEffect['type']>(effects: PoolEffect[], type: T) =>
  effects.filter((effect): effect is Extract<PoolEffect, { type: T }> => effect.type === type);
const lease = (actorKey: string, group = 'job-1//'): PoolEvent => ({
  type: 'assign',
  assignments: [{ actorKey, isolation: 'process', group, isLease: true }],
});

function pool(cpus = 2) {
  const state = createPoolState(defaultPoolSettings(cpus, 0));
  const step = (event: PoolEvent): PoolEffect[] => stepPool(state, event, mintHostId);
  /** Assigns, and has the host that is spawned for it become ready. */
  const take = (actorKey: string, group?: string): ProcessId => {
    const effects = step(lease(actorKey, group));
    for (const { hostId } of of(effects, 'spawn')) effects.push(...step({ type: 'ready', hostId }));
    const [start] = of(effects, 'start');
    expect(start?.actorKeys).toEqual([actorKey]);
    return start?.hostId as ProcessId;
  };
  const giveBack = (actorKey: string): PoolEffect[] => step({ type: 'returned', actorKey });
  return { state, step, take, giveBack };
}

describe('hosts between two leases', () => {
  it('(8) (3) go to the next lease of their job and environment, and to no other', () => {
    const { take, giveBack } = pool();
    const hostId = take('a#0');
    expect(giveBack('a#0')).toEqual([{ type: 'arm-idle-timeout', hostId }]);
    expect(take('b#0', 'job-2//')).not.toBe(hostId);
    expect(take('c#0')).toBe(hostId);
  });

  it('go to no actor that is not a lease', () => {
    const { state, step, take, giveBack } = pool();
    take('a#0');
    giveBack('a#0');
    const actor = { actorKey: 'b#0', isolation: 'process' as const, group: 'job-1//' };
    const effects = step({ type: 'assign', assignments: [actor] });
    expect(effects.map(({ type }) => type)).toEqual(['spawn']);
    expect(state.kept.size).toBe(1);
  });

  it('the one that was used last is taken first', () => {
    const { take, giveBack } = pool();
    take('a#0');
    const last = take('b#0');
    giveBack('a#0');
    giveBack('b#0');
    expect(take('c#0')).toBe(last);
  });

  it('(8) have the next lease at once when one waits', () => {
    const { state, step, take, giveBack } = pool();
    const hostId = take('a#0');
    step(lease('b#0'));
    expect(of(giveBack('a#0'), 'start')).toEqual([{ type: 'start', hostId, actorKeys: ['b#0'] }]);
    expect(state.waiting.size).toBe(0);
  });

  it('(6) are asked to retire when idle for too long or too many, and are given to nobody meanwhile', () => {
    const { step, take, giveBack } = pool();
    const first = take('a#0');
    giveBack('a#0');
    expect(step({ type: 'idle-timeout', hostId: first })).toEqual([
      { type: 'retire', hostId: first },
    ]);
    const hosts = ['b#0', 'c#0', 'd#0'].map((key) => take(key));
    expect(hosts).not.toContain(first);
    giveBack('b#0');
    giveBack('c#0');
    expect(of(giveBack('d#0'), 'retire')).toEqual([{ type: 'retire', hostId: hosts[0] }]);
  });

  it('(10) stay while others need what they own', () => {
    const { state, step, take, giveBack } = pool();
    const hostId = take('a#0');
    giveBack('a#0');
    step({ type: 'idle-timeout', hostId });
    expect(step({ type: 'retained', hostId })).toEqual([{ type: 'arm-idle-timeout', hostId }]);
    expect(take('b#0')).toBe(hostId);
    expect(state.kept.size).toBe(0);
  });

  it('(9) end with their job, whatever they own', () => {
    const { step, take, giveBack } = pool();
    const [kept, retiring, other] = [take('a#0'), take('b#0'), take('c#0', 'job-2//')];
    for (const key of ['a#0', 'b#0', 'c#0']) giveBack(key);
    step({ type: 'idle-timeout', hostId: retiring });
    const effects = step({ type: 'job-ended', jobId: 'job-1' as JobId });
    expect(of(effects, 'end').map(({ hostId }) => hostId)).toEqual([kept, retiring]);
    expect(take('d#0', 'job-2//')).toBe(other);
    expect(step({ type: 'retained', hostId: retiring })).toEqual([]);
  });

  it('(11) that are spent are asked at once and again, and given to nobody', () => {
    const { state, step, take } = pool();
    const hostId = take('a#0');
    step(lease('b#0'));
    expect(of(step({ type: 'spent', actorKey: 'a#0', isHeld: false }), 'start')).toEqual([]);
    expect(state.hostOfActor.has('a#0')).toBe(false);
    expect(step({ type: 'retained', hostId })).toEqual([{ type: 'arm-retirement', hostId }]);
    expect(step({ type: 'idle-timeout', hostId })).toEqual([{ type: 'retire', hostId }]);
    expect(of(step({ type: 'exited', hostId }), 'lost')).toEqual([]);
  });

  it('(11) that are spent may keep the place of their lease, and end with their job', () => {
    const { step, take } = pool();
    const hostId = take('a#0');
    step({ type: 'spent', actorKey: 'a#0', isHeld: true });
    step({ type: 'retained', hostId });
    expect(of(step({ type: 'job-ended', jobId: 'job-1' as JobId }), 'end')).toHaveLength(1);
    const [lost] = of(step({ type: 'exited', hostId }), 'lost');
    expect(lost).toMatchObject({ actorKeys: ['a#0'] });
  });

  it('lose and double no lease, whatever happens', () => {
    const action = fc.tuple(fc.nat(7), fc.nat(30));
    fc.assert(
      fc.property(fc.array(action, { maxLength: 200 }), (actions) => {
        const { state, step } = pool();
        const live = new Set<string>();
        actions.forEach(([what, pick], made) => {
          const event = eventOf(state, what, pick, `a#${made}`);
          if (event === undefined) return;
          if (event.type === 'assign') live.add(`a#${made}`);
          const isOver = event.type === 'spent' && !event.isHeld;
          if (event.type === 'returned' || event.type === 'actor-ended' || isOver)
            live.delete(event.actorKey);
          for (const { actorKeys } of of(step(event), 'lost'))
            for (const key of actorKeys) live.delete(key);
          checkInvariants(state, live);
        });
      }),
    );
  });
});

function eventOf(
  state: PoolState,
  what: number,
  pick: number,
  newKey: string,
): PoolEvent | undefined {
  const hosts = [...state.hosts.values()];
  const host = hosts[pick % Math.max(1, hosts.length)];
  const placed = hosts.flatMap(({ phase, actors }) => (phase === 'busy' ? [...actors] : []));
  const actorKey = placed[pick % Math.max(1, placed.length)];
  if (what <= 1) return lease(newKey, `job-${pick % 3}//`);
  if (what === 2 && pick === 0) return { type: 'job-ended', jobId: 'job-1' as JobId };
  if (what === 7 && pick === 0) return { type: 'discard' };
  if (what === 3 && actorKey !== undefined) return { type: 'returned', actorKey };
  if (what === 7 && pick % 3 === 1 && actorKey !== undefined)
    return { type: 'spent', actorKey, isHeld: pick % 2 === 0 };
  if (what === 4 && actorKey !== undefined) return { type: 'actor-ended', actorKey };
  if (host === undefined) return undefined;
  const { hostId } = host;
  if (what === 5) return { type: pick % 2 === 0 ? 'exited' : 'idle-timeout', hostId };
  if (what === 6) return { type: 'retained', hostId };
  return { type: 'ready', hostId };
}

function checkInvariants(state: PoolState, live: Set<string>): void {
  const hosts = [...state.hosts.values()];
  const placed = hosts.flatMap((host) => [...host.actors]);
  expect(new Set([...placed, ...state.waiting.keys()])).toEqual(live);
  expect(placed.length + state.waiting.size).toBe(live.size);
  expect(new Set(hosts.filter(({ phase }) => phase === 'kept'))).toEqual(state.kept);
  for (const { phase, actors } of hosts) {
    expect(actors.size).toBeLessThanOrEqual(['busy', 'spent', 'stopping'].includes(phase) ? 1 : 0);
  }
  // Whoever waits has no kept host of its group to wait for.
  for (const group of state.waiting.values())
    expect([...state.kept].map(({ leaseGroup }) => leaseGroup)).not.toContain(group);
}
