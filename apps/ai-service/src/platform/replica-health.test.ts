import {
  ActorDiedError,
  ActorUnavailableError,
  BackpressureError,
  TaskError,
  TaskTimeoutError,
} from '@manta/sdk';
import { beforeEach, describe, expect, test } from 'vitest';
import { ReplicaHealth } from './replica-health.ts';
import { type Replica, Replicas } from './replicas.ts';

const notLoaded = (): Error =>
  new TaskError('no such model file', { cause: undefined, method: 'checkHealth' });
const dead = (): Error =>
  new ActorDiedError('dead', {
    actorId: 'a_1',
    deathCause: { kind: 'killed', message: 'It was killed.' },
  });

/** Handles are their own numbers: 1, 2, 3 in the order of creation. */
let replicas: Replicas<number>;
let first: Replica<number>;
/** What the next checks fail with; then they succeed. */
let failures: Error[];
let checked: number[];
let ended: number[];
let warnings: number;
let closing: AbortController;
let health: ReplicaHealth<number>;

beforeEach(() => {
  let last = 0;
  replicas = new Replicas(() => (last += 1));
  first = replicas.add();
  failures = [];
  checked = [];
  ended = [];
  warnings = 0;
  closing = new AbortController();
  health = new ReplicaHealth({
    logger: { warn: () => (warnings += 1) } as never,
    signal: closing.signal,
    check: (handle) => {
      checked.push(handle);
      const failure = failures.shift();
      return failure === undefined ? Promise.resolve() : Promise.reject(failure);
    },
    end: (handle) => Promise.resolve(void ended.push(handle)),
    retryMs: 0,
    intervalMs: 0,
  });
});

const until = (loadsMax?: number): Promise<void> =>
  health.untilHealthy(replicas, first, 'local/x', loadsMax);

describe('watched replicas', () => {
  test('are checked again and again, and brought back, until all ends', async () => {
    replicas.add();
    failures = [dead()];
    const watching = health.watch(replicas, 'local/x');
    await expect.poll(() => checked.length).toBeGreaterThan(6);
    closing.abort();
    await watching;
    expect(new Set(checked)).toEqual(new Set([1, 2, 3]));
    expect(replicas.list().map(({ healthy }) => healthy)).toEqual([true, true]);
  });
});

describe('a replica', () => {
  test('that answers is healthy', async () => {
    await until();
    expect([checked, first.healthy, warnings]).toEqual([[1], true, 0]);
  });

  test('that restarts is waited for', async () => {
    failures = [new ActorUnavailableError('restarting'), new ActorUnavailableError('restarting')];
    await until(1);
    expect([checked, ended, first.healthy]).toEqual([[1, 1, 1], [], true]);
  });

  test('that hangs is ended and replaced, but not while it may still be loading', async () => {
    const late = (): Error => new TaskTimeoutError('no answer');
    failures = [late(), late()];
    await until();
    expect([checked, ended]).toEqual([[1, 1, 1], []]);
    failures = [late(), late()];
    await until();
    expect([checked, ended]).toEqual([[1, 1, 1, 1, 2, 2], [1]]);
    expect(replicas.list()).toMatchObject([{ handle: 2, healthy: true }]);
  });

  test('that is dead for good has a new one take its place', async () => {
    failures = [dead()];
    await until(1);
    expect([checked, ended]).toEqual([[1, 2], []]);
    expect(replicas.list()).toMatchObject([{ handle: 2, healthy: true }]);
  });

  test('that could not load its model is ended, and a new one tries again', async () => {
    failures = [notLoaded(), notLoaded()];
    await until();
    expect([checked, ended]).toEqual([
      [1, 2, 3],
      [1, 2],
    ]);
    expect(replicas.list()).toMatchObject([{ handle: 3, healthy: true }]);
  });

  test('whose model cannot be loaded fails a start after so many attempts, with the reason', async () => {
    failures = [notLoaded(), notLoaded(), notLoaded(), notLoaded()];
    await expect(until(3)).rejects.toThrow('no such model file');
    expect(checked).toEqual([1, 2, 3]);
    expect(replicas.healthy).toBe(false);
  });

  test('that is too busy to be asked stays as it is', async () => {
    first.healthy = true;
    failures = [new BackpressureError('full')];
    await until();
    expect([checked, first.healthy]).toEqual([[1], true]);
  });

  test('is not asked any more when all ends', async () => {
    failures = [notLoaded()];
    closing.abort();
    await until();
    expect(checked).toEqual([]);
  });
});
