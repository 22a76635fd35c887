import { expect, it, vi } from 'vitest';
import type { ActorId, ProcessId } from '../ids.ts';
import { ManualClock } from '../testing/manual-clock.ts';
import type { ActorDescription, ActorUpdate } from '../wire/messages.ts';
import { ActorRegistry } from './actor-registry.ts';

const actorId = 'a_0000000000000000' as ActorId;
const describe = (update: Omit<ActorUpdate, 'actorId' | 'incarnation'>): ActorDescription => ({
  actorId,
  className: 'Counter',
  namespace: 'tests',
  methods: [],
  maxTaskRetries: 0,
  update: { actorId, incarnation: 0, ...update },
});
const dead = describe({
  revision: 2,
  state: 'dead',
  deathCause: { kind: 'killed', message: 'kill() was called.' },
});

it('asks again for an actor that was not alive in its description: the news may have come before', async () => {
  const request = vi.fn(() => Promise.resolve({ actors: [dead] }));
  const core = {
    clock: new ManualClock(),
    processId: 'p_0000000000000000' as ProcessId,
    head: () => Promise.resolve({ request }),
  };
  const registry = new ActorRegistry(core as never);
  registry.applyUpdate(dead.update);
  const caller = registry.adoptDescription(describe({ revision: 1, state: 'pending' }));
  await expect.poll(() => caller.news.last).toEqual(dead.update);
  const asked = { processId: core.processId, actorIds: [actorId], again: [], lived: [] };
  expect(request.mock.calls).toEqual([['actor.hold', asked, expect.anything()]]);
});

it('asks for an actor whose last handle is gone when a call of it is made again, and holds it meanwhile', async () => {
  const alive = describe({ revision: 1, state: 'alive' });
  const request = vi.fn((operation: string) =>
    Promise.resolve(operation === 'actor.hold' ? { actors: [alive] } : {}),
  );
  const clock = new ManualClock();
  const core = {
    clock,
    processId: 'p_0000000000000000' as ProcessId,
    head: () => Promise.resolve({ request }),
    hasHandles: () => false,
  };
  const registry = new ActorRegistry(core as never);
  const caller = registry.adoptDescription(alive);
  expect(registry.callerAgain(caller)).toBe(caller);
  registry.drop(caller);
  const again = registry.callerAgain(caller);
  expect(again).not.toBe(caller);
  expect(registry.callerAgain(caller)).toBe(again);
  await expect.poll(() => again.news.last).toEqual(alive.update);
  const asked = { processId: core.processId, actorIds: [actorId], again: [actorId], lived: [] };
  expect(request.mock.calls).toEqual([['actor.hold', asked, expect.anything()]]);
  again.onIdle?.();
  expect(registry.callers()).toEqual([]);
});

it('calls an actor that it was told of as the description says', () => {
  const core = { clock: new ManualClock() };
  const registry = new ActorRegistry(core as never);
  const settings = {
    maxTaskRetries: -1,
    retryExceptions: ['Busy'],
    maxPendingCalls: 7,
    allowOutOfOrderExecution: true,
  };
  const caller = registry.adoptDescription({ ...dead, ...settings });
  expect(caller.settings).toEqual({ actorId, className: 'Counter', ...settings });
});

it('tells the head of a life that was spoken to until the head has it', async () => {
  const alive = describe({ revision: 1, state: 'alive' });
  const request = vi.fn(() => Promise.resolve({ actors: [alive] }));
  request.mockRejectedValueOnce(new Error('no head'));
  const core = {
    clock: new ManualClock(),
    processId: 'p_0000000000000000' as ProcessId,
    head: () => Promise.resolve({ request }),
  };
  const registry = new ActorRegistry(core as never);
  registry.adoptDescription(alive);
  registry.lived(actorId, 3);
  await expect.poll(() => request.mock.calls.length).toBe(1);
  for (let times = 0; times < 2; times += 1) {
    registry.holdAllAgain();
    await expect.poll(() => request.mock.calls.length).toBe(2 + times);
  }
  const told = request.mock.calls.map((call: unknown[]) => (call[1] as { lived: unknown }).lived);
  expect(told).toEqual([[{ actorId, incarnation: 3 }], [{ actorId, incarnation: 3 }], []]);
});
