import { beforeEach, expect, it } from 'vitest';
import { ManualClock } from '../testing/manual-clock.ts';
import { QUIET_MS, QuietGarbage } from './quiet-garbage.ts';

let clock: ManualClock;
let held: number;
/** What each collection finds that nobody needs. */
let garbage: number[];
let collections: number;
let activeShare: number;
let collectionMs: number;
let quiet: QuietGarbage;

beforeEach(() => {
  clock = new ManualClock();
  [held, collections, activeShare, collectionMs] = [0, 0, 0, 0];
  garbage = [];
  quiet = new QuietGarbage({
    clock,
    collectGarbage: async () => {
      collections += 1;
      held -= garbage.shift() ?? 0;
      await Promise.resolve();
      clock.advance(collectionMs);
    },
    held: () => held,
    activeShare: () => activeShare,
  });
});

function hold(count: number): void {
  held += count;
  quiet.note();
}

/** Lets what was started by its timers end. */
async function pass(milliseconds: number): Promise<void> {
  clock.advance(milliseconds);
  await new Promise((resolve) => setImmediate(resolve));
}

it('is collected once the process is quiet, and again where that found something', async () => {
  garbage = [1, 2];
  hold(3);
  await pass(QUIET_MS - 1);
  expect(collections).toBe(0);
  await pass(1);
  expect([collections, held]).toEqual([1, 2]);
  await pass(QUIET_MS);
  expect([collections, held]).toEqual([2, 0]);
  expect(clock.pendingTimers).toBe(0);
});

it('is left alone while the process works', async () => {
  activeShare = 0.5;
  hold(1);
  await pass(QUIET_MS);
  await pass(QUIET_MS);
  expect(collections).toBe(0);
  activeShare = 0;
  await pass(QUIET_MS);
  expect(collections).toBe(1);
});

it('is left alone where nothing is held any more', async () => {
  hold(1);
  held = 0;
  await pass(QUIET_MS);
  expect([collections, clock.pendingTimers]).toEqual([0, 0]);
});

it('is looked for more and more seldom while all that is held is needed', async () => {
  hold(1);
  for (const pauses of [1, 1, 2, 4, 8, 16]) {
    await pass(pauses * QUIET_MS - 1);
    const before = collections;
    await pass(1);
    expect(collections).toBe(before + 1);
  }
  await pass(120_000);
  expect(collections).toBe(7);
  hold(1);
  await pass(120_000);
  await pass(QUIET_MS);
  expect(collections).toBe(9);
});

it('takes no more than a thousandth of the time', async () => {
  collectionMs = 60;
  hold(1);
  await pass(QUIET_MS);
  expect(collections).toBe(1);
  hold(1);
  await pass(60_000 - 1);
  expect(collections).toBe(1);
  await pass(1);
  expect(collections).toBe(2);
});
