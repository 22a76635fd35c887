import fc from 'fast-check';
import type { ProcessId } from '@manta/runtime/ids';
import type { Isolation } from '@manta/runtime/wire/messages';
import { describe, expect, it } from 'vitest';
import { testMint } from '../testing/fake-head.ts';
import {
  createPoolState,
  type PoolEffect,
  type PoolEvent,
  type PoolState,
} from './pool-records.ts';
import { defaultPoolSettings } from './pool-settings.ts';
import { lacksLeisureHosts, stepPool } from './pool-state.ts';

const mintHostId = (): ProcessId => testMint('process');
const of = <T extends PoolEffect['type']>(effects: PoolEffect[], type: T) =>
  effects.filter((effect): effect is Extract<PoolEffect, { type: T }> => effect.type === type);
const assign = (isolation: Isolation, ...actorKeys: string[]): PoolEvent => ({
  type: 'assign',
  assignments: actorKeys.map((actorKey) => ({ actorKey, isolation, group: 'job' })),
});

/** A pool whose spawned hosts become ready at once. */
function readyPool(cpus = 2, poolSize?: number) {
  const state = createPoolState(defaultPoolSettings(cpus, poolSize));
  const step = (event: PoolEvent): PoolEffect[] => {
    const effects = stepPool(state, event, mintHostId);
    for (const { hostId } of of(effects, 'spawn')) effects.push(...step({ type: 'ready', hostId }));
    return effects;
  };
  return { state, step };
}

describe('pool state', () => {
  it('(1) (2) fills up one after the other on a small machine', () => {
    const state = createPoolState(defaultPoolSettings(2));
    const [first] = of(stepPool(state, { type: 'open' }, mintHostId), 'spawn');
    expect(state.startingProcessHosts).toBe(1);
    const next = stepPool(state, { type: 'ready', hostId: first!.hostId }, mintHostId);
    expect(of(next, 'spawn')).toHaveLength(1);
    const last = stepPool(
      state,
      { type: 'ready', hostId: of(next, 'spawn')[0]!.hostId },
      mintHostId,
    );
    expect(last).toEqual([]);
    expect(state.idle.size).toBe(2);
  });

  it('(1) keeps more hosts ready when there is leisure, as many as memory allows, one at a time', () => {
    const state = createPoolState(defaultPoolSettings(2, undefined, 3e9));
    expect(state.settings).toMatchObject({ poolSize: 2, leisurePoolSize: 6 });
    const spawns = (event: PoolEvent) => of(stepPool(state, event, mintHostId), 'spawn');
    let spawned = spawns({ type: 'open' });
    while (state.idle.size < 6) {
      expect(spawned).toHaveLength(1);
      expect(lacksLeisureHosts(state)).toBe(false);
      const next = spawns({ type: 'ready', hostId: spawned[0]!.hostId });
      spawned = next.length > 0 ? next : spawns({ type: 'leisure' });
    }
    expect(lacksLeisureHosts(state)).toBe(false);
    expect(spawns({ type: 'leisure' })).toEqual([]);
    // More are ready than must be: the next actor's start is not disturbed by another host's.
    expect(spawns(assign('process', 'a#0'))).toEqual([]);
    expect(lacksLeisureHosts(state)).toBe(true);
  });

  it('keeps exactly as many ready as it is told, on a small machine as many as it must', () => {
    expect(defaultPoolSettings(2, 1, 64e9).leisurePoolSize).toBe(1);
    expect(defaultPoolSettings(4, undefined, 1e9).leisurePoolSize).toBe(4);
    expect(defaultPoolSettings(64, undefined, 512e9).leisurePoolSize).toBe(64);
  });

  it('(3) gives an idle host at once and refills', () => {
    const { state, step } = readyPool();
    step({ type: 'open' });
    const effects = stepPool(state, assign('process', 'a#0'), mintHostId);
    expect(effects.map(({ type }) => type)).toEqual(['start', 'spawn']);
  });

  it("(2') starts as many hosts as wait, a bounded number at a time, first come first served", () => {
    const state = createPoolState(defaultPoolSettings(4, 0));
    const keys = Array.from({ length: 10 }, (_, index) => `a#${index}`);
    const spawned = of(stepPool(state, assign('process', ...keys), mintHostId), 'spawn');
    expect(spawned).toHaveLength(4);
    const effects = stepPool(state, { type: 'ready', hostId: spawned[0]!.hostId }, mintHostId);
    expect(of(effects, 'start')[0]?.actorKeys).toEqual(['a#0']);
    expect(of(effects, 'spawn')).toHaveLength(1);
  });

  it('(4) stops a process host after its actor, keeps a shared one for a while (6)', () => {
    const { state, step } = readyPool();
    step(assign('process', 'p#0'));
    expect(step({ type: 'actor-ended', actorKey: 'p#0' }).map(({ type }) => type)).toEqual([
      'stop',
    ]);
    step(assign('shared', 's#0'));
    const [idle] = step({ type: 'actor-ended', actorKey: 's#0' });
    expect(idle?.type).toBe('arm-idle-timeout');
    const { hostId } = idle as { hostId: ProcessId };
    step(assign('shared', 's#1'));
    expect(step({ type: 'idle-timeout', hostId })).toEqual([]);
    step({ type: 'actor-ended', actorKey: 's#1' });
    expect(step({ type: 'idle-timeout', hostId })).toEqual([{ type: 'stop', hostId }]);
    expect(state.groups.size).toBe(0);
  });

  it('spreads shared actors over two hosts per job, and adds hosts for many', () => {
    const { state, step } = readyPool();
    const keys = Array.from({ length: 120_000 }, (_, index) => `a#${index}`);
    for (const key of keys) step(assign('shared', key));
    expect([...state.hosts.values()].map(({ actors }) => actors.size)).toHaveLength(3);
    const threads = readyPool();
    threads.step(assign('thread', 't#0', 't#1', 't#2'));
    expect(threads.state.hosts.size).toBe(1);
  });

  it('(7) tells those who wait when hosts cannot be started', () => {
    const state = createPoolState(defaultPoolSettings(2, 0));
    let spawned = of(stepPool(state, assign('process', 'a#0'), mintHostId), 'spawn');
    let effects: PoolEffect[] = [];
    for (let failures = 0; failures < 3; failures += 1) {
      expect(of(effects, 'lost')).toEqual([]);
      effects = stepPool(state, { type: 'exited', hostId: spawned[0]!.hostId }, mintHostId);
      spawned = of(effects, 'spawn');
    }
    expect(of(effects, 'lost')[0]?.actorKeys).toEqual(['a#0']);
    expect(spawned).toEqual([]);
  });

  it('a discarded host gets no more actors', () => {
    const { state, step } = readyPool();
    step({ type: 'open' });
    const before = new Set(state.hosts.keys());
    step({ type: 'discard' });
    const [start] = of(step(assign('process', 'a#0')), 'start');
    expect(before.has(start!.hostId)).toBe(false);
  });

  it('(1) starts a host of its own for what needs variables from the start, also for the next lease', () => {
    const { state, step } = readyPool();
    step({ type: 'open' });
    const idle = new Set(state.idle);
    const startVariables = { NODE_OPTIONS: '--expose-gc' };
    const lease = (actorKey: string): PoolEvent => ({
      type: 'assign',
      assignments: [
        { actorKey, isolation: 'process', group: 'job', isLease: true, startVariables },
      ],
    });
    const first = step(lease('a#0'));
    expect(of(first, 'spawn')).toMatchObject([{ isolation: 'process', startVariables }]);
    const [{ hostId } = { hostId: '' }] = of(first, 'start');
    expect(of(first, 'start')).toEqual([{ type: 'start', hostId, actorKeys: ['a#0'] }]);
    expect(state.idle).toEqual(idle);
    step({ type: 'returned', actorKey: 'a#0' });
    expect(step(lease('b#0'))).toEqual([{ type: 'start', hostId, actorKeys: ['b#0'] }]);
    const shared = { actorKey: 's#0', isolation: 'shared' as const, group: 'job', startVariables };
    const [spawned] = of(step({ type: 'assign', assignments: [shared] }), 'spawn');
    expect(spawned).toMatchObject({ group: 'shared:job', startVariables });
  });

  it('(7) a host that does not start with such variables is lost with what needed it alone', () => {
    const state = createPoolState(defaultPoolSettings(2, 0));
    const step = (event: PoolEvent) => stepPool(state, event, mintHostId);
    step(assign('process', 'waits#0'));
    for (const actorKey of ['a#0', 'b#0', 'c#0', 'd#0']) {
      const startVariables = { NODE_OPTIONS: '--no-such-option' };
      const assignments = [
        { actorKey, isolation: 'process' as const, group: 'job', startVariables },
      ];
      const [{ hostId } = { hostId: '' }] = of(step({ type: 'assign', assignments }), 'spawn');
      const effects = step({ type: 'exited', hostId: hostId as ProcessId });
      expect(of(effects, 'lost')).toEqual([{ type: 'lost', hostId, actorKeys: [actorKey] }]);
    }
    expect([...state.waiting.keys()]).toEqual(['waits#0']);
  });

  it('(5) a host that was started for an actor which is withdrawn before it is ready is stopped', () => {
    const state = createPoolState(defaultPoolSettings(2, 0));
    const step = (event: PoolEvent) => stepPool(state, event, mintHostId);
    const startVariables = { UV_THREADPOOL_SIZE: '1' };
    const assignments = [
      { actorKey: 'a#0', isolation: 'process' as const, group: 'job', startVariables },
    ];
    const [{ hostId } = { hostId: '' }] = of(step({ type: 'assign', assignments }), 'spawn');
    expect(step({ type: 'actor-ended', actorKey: 'a#0' })).toEqual([]);
    expect(step({ type: 'ready', hostId: hostId as ProcessId })).toEqual([
      { type: 'stop', hostId },
    ]);
  });

  it('loses and doubles no actor, and keeps its bounds, whatever happens', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(5), fc.nat(50)), { maxLength: 150 }), (steps) => {
        const state = createPoolState(defaultPoolSettings(2));
        const live = new Set<string>();
        let made = 0;
        stepPool(state, { type: 'open' }, mintHostId);
        for (const [what, pick] of steps) {
          const hosts = [...state.hosts.keys()];
          const hostId = hosts[pick % Math.max(1, hosts.length)];
          const isolations: Isolation[] = ['process', 'shared', 'thread'];
          const actorKey = `a#${made}`;
          const ending = [...live][pick % Math.max(1, live.size)];
          let event: PoolEvent | undefined;
          if (what <= 1) {
            event = assign(isolations[pick % 3] as Isolation, actorKey);
            live.add(actorKey);
            made += 1;
          } else if (what === 2 && hostId) event = { type: 'ready', hostId };
          else if (what === 3 && ending) {
            event = { type: 'actor-ended', actorKey: ending };
            live.delete(ending);
          } else if (what === 4 && hostId) event = { type: 'exited', hostId };
          else if (what === 5 && pick === 0) event = { type: 'discard' };
          if (event === undefined) continue;
          const effects = stepPool(state, event, mintHostId);
          for (const { actorKeys } of of(effects, 'lost'))
            for (const key of actorKeys) live.delete(key);
          checkInvariants(state, live);
        }
      }),
    );
  });
});

function checkInvariants(state: PoolState, live: Set<string>): void {
  const placed = [...state.hosts.values()].flatMap((host) => [...host.actors]);
  expect(new Set([...placed, ...state.waiting.keys()])).toEqual(live);
  expect(placed.length + state.waiting.size).toBe(live.size);
  const starting = [...state.hosts.values()].filter(
    (host) => host.phase === 'starting' && host.isolation === 'process',
  );
  expect(state.startingProcessHosts).toBe(starting.length);
  expect(starting.length).toBeLessThanOrEqual(state.settings.startConcurrencyMax);
  for (const host of state.hosts.values()) {
    const room = host.phase === 'idle' ? 0 : host.isolation === 'process' ? 1 : Infinity;
    expect(host.actors.size).toBeLessThanOrEqual(room);
  }
}
