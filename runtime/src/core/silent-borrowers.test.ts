import { randomFillSync } from 'node:crypto';
import { beforeEach, describe, expect, it } from 'vitest';
import { createIdMint, type ProcessId } from '../ids.ts';
import { ManualClock } from '../testing/manual-clock.ts';
import type { ProcessAddress } from '../wire/messages.ts';
import { SilentBorrowers } from './silent-borrowers.ts';

const mintId = createIdMint((bytes) => randomFillSync(bytes));
const MINUTE_MS = 60_000;

let clock: ManualClock;
let isReachable: boolean;
let isSilent: boolean;
let visits: number;
let answersAfter: number;
let died: ProcessId[];
let notFound: ProcessId[];
let borrowers: SilentBorrowers;

beforeEach(() => {
  clock = new ManualClock();
  isReachable = true;
  isSilent = true;
  visits = 0;
  answersAfter = 1;
  died = [];
  notFound = [];
  borrowers = new SilentBorrowers({
    clock,
    isSilent: () => isSilent,
    visit: () => {
      visits += 1;
      if (!isReachable) return Promise.reject(new Error('nobody there'));
      if (visits >= answersAfter) isSilent = false;
      return Promise.resolve();
    },
    onDied: (processId) => died.push(processId),
    onNotFound: (processId) => notFound.push(processId),
  });
});

function addressOf(processId: ProcessId): ProcessAddress {
  return { processId, nodeId: undefined, machineId: 'm', socketPath: '/s', tcp: undefined };
}

async function pass(milliseconds: number): Promise<void> {
  for (let passed = 0; passed < milliseconds; passed += 1_000) {
    clock.advance(1_000);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

describe('a process that was given a ref', () => {
  const id = mintId('process');

  it('is left alone when it says so itself', async () => {
    borrowers.expect(id, addressOf(id));
    isSilent = false;
    await pass(MINUTE_MS);
    expect([visits, died]).toEqual([0, []]);
  });

  it('is visited once when it stays silent: from then on the connection tells of its end', async () => {
    borrowers.expect(id, addressOf(id));
    borrowers.expect(id, undefined);
    await pass(MINUTE_MS);
    expect([visits, died]).toEqual([1, []]);
    expect(clock.pendingTimers).toBe(0);
  });

  it('is visited again while it does not hold what it was given, ever more seldom', async () => {
    answersAfter = 4;
    borrowers.expect(id, addressOf(id));
    await pass(MINUTE_MS / 2);
    expect([visits, isSilent]).toEqual([3, true]);
    await pass(MINUTE_MS);
    expect([visits, isSilent, died]).toEqual([4, false, []]);
    await pass(MINUTE_MS);
    expect(clock.pendingTimers).toBe(0);
  });

  it('counts as dead when it stays silent and does not take connections', async () => {
    isReachable = false;
    borrowers.expect(id, addressOf(id));
    await pass(6_000);
    expect(died).toEqual([]);
    await pass(MINUTE_MS);
    expect([visits, died]).toEqual([5, [id]]);
    expect(clock.pendingTimers).toBe(0);
  });

  it('may be busy for a while', async () => {
    isReachable = false;
    borrowers.expect(id, addressOf(id));
    await pass(6_000);
    isReachable = true;
    answersAfter = 0;
    await pass(MINUTE_MS);
    expect([died, isSilent]).toEqual([[], false]);
  });

  it('is waited for when nobody knows where it is', async () => {
    borrowers.expect(id, undefined);
    await pass(MINUTE_MS / 2);
    expect(died).toEqual([]);
    await pass(MINUTE_MS);
    expect([visits, died, notFound]).toEqual([0, [], [id]]);
  });

  it('is looked for again after it was told of again', async () => {
    isReachable = false;
    borrowers.expect(id, addressOf(id));
    await pass(MINUTE_MS);
    borrowers.expect(id, addressOf(id));
    await pass(MINUTE_MS);
    expect(died).toEqual([id, id]);
  });
});
