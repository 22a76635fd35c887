import { describe, expect, it } from 'vitest';
import type { IncomingCall } from './incoming-call.ts';
import { IdempotencyTable } from './idempotency-table.ts';

/** As much of a call as the table touches, with what it answered. */
function callOf(number: number, idempotencyKey: string): IncomingCall & { answers: unknown[][] } {
  const answers: unknown[][] = [];
  const call = {
    number,
    idempotencyKey,
    cancelled: false,
    answers,
    sendAnswer: (record: unknown[]) => void answers.push(record),
  };
  return call as unknown as IncomingCall & { answers: unknown[][] };
}
const noRun = (): never => {
  throw new Error('nothing should run instead');
};

describe('idempotency table', () => {
  it('lets the first call run; those meanwhile and afterwards get its answer under their own number', () => {
    const table = new IdempotencyTable();
    const [first, meanwhile, after] = [callOf(1, 'k'), callOf(2, 'k'), callOf(3, 'k')];
    expect(table.enter(first, noRun)).toBe(true);
    expect(table.enter(meanwhile, noRun)).toBe(false);
    expect(meanwhile.answers).toEqual([]);
    first.onRecord?.([5, 1, 'value'], undefined);
    expect(meanwhile.answers).toEqual([[5, 2, 'value']]);
    expect(table.enter(after, noRun)).toBe(false);
    expect(after.answers).toEqual([[5, 3, 'value']]);
    expect(meanwhile.answers).toHaveLength(1);
  });

  it('keeps keys apart', () => {
    const table = new IdempotencyTable();
    expect(
      [callOf(1, 'a'), callOf(2, 'b'), callOf(3, '')].map((call) => table.enter(call, noRun)),
    ).toEqual([true, true, true]);
  });

  it('lets another one run when the first was cancelled before it ran', () => {
    const table = new IdempotencyTable();
    const [first, second, third] = [callOf(1, 'k'), callOf(2, 'k'), callOf(3, 'k')];
    second.cancelled = true;
    const instead: IncomingCall[] = [];
    for (const call of [first, second, third]) table.enter(call, (other) => instead.push(other));
    first.onSkipped?.();
    expect(instead).toEqual([third]);
    expect(table.enter(third, noRun)).toBe(true);
  });

  it('forgets the oldest answered key when there are too many, never one that runs', () => {
    const table = new IdempotencyTable();
    const running = callOf(0, 'running');
    table.enter(running, noRun);
    for (let index = 1; index <= 10_000; index += 1) {
      const call = callOf(index, `key ${index}`);
      expect(table.enter(call, noRun)).toBe(true);
      call.onRecord?.([5, index, index], undefined);
    }
    expect(table.enter(callOf(1, 'key 1'), noRun)).toBe(true);
    expect(table.enter(callOf(1, 'key 5000'), noRun)).toBe(false);
    expect(table.enter(callOf(1, 'running'), noRun)).toBe(false);
  });
});
