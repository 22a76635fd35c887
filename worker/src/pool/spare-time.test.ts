import { ManualClock } from '@manta/runtime/testing/manual-clock';
import { describe, expect, it } from 'vitest';
import { machineUse, SpareTime, type MachineUse } from './spare-time.ts';

/** A machine of one processor that idles for `idleShare` of the time. */
function machine({ idleShare = 1, freeMemoryShare = 0.9 } = {}) {
  const clock = new ManualClock();
  const use = { idleShare, freeMemoryShare };
  let idle = 0;
  let total = 0;
  let measuredAt = clock.now();
  const machineUse = (): MachineUse => {
    const elapsed = clock.now() - measuredAt;
    measuredAt = clock.now();
    idle += elapsed * use.idleShare;
    total += elapsed;
    return { idle, total, freeMemoryShare: use.freeMemoryShare };
  };
  let missing = 3;
  const runs: number[] = [];
  const spareTime = new SpareTime({
    clock,
    wanted: () => missing > 0,
    run: () => {
      missing -= 1;
      runs.push(clock.now());
    },
    machineUse,
  });
  return { clock, use, runs, spareTime };
}

describe('SpareTime', () => {
  it('does one step at a time, with pauses, and rests when nothing is left', () => {
    const { clock, runs, spareTime } = machine();
    spareTime.check();
    clock.advance(5_000);
    expect(runs).toHaveLength(3);
    expect(new Set(runs).size).toBe(3);
    expect(clock.pendingTimers).toBe(0);
  });

  it('waits until the node has had nothing to do for a while', () => {
    const { clock, runs, spareTime } = machine();
    spareTime.check();
    for (let turn = 0; turn < 20; turn += 1) {
      clock.advance(200);
      spareTime.disturb();
    }
    expect(runs).toEqual([]);
    clock.advance(5_000);
    expect(runs).toHaveLength(3);
  });

  it('leaves a busy machine, or one short of memory, alone', () => {
    const { clock, use, runs, spareTime } = machine({ idleShare: 0.3 });
    spareTime.check();
    clock.advance(5_000);
    Object.assign(use, { idleShare: 1, freeMemoryShare: 0.1 });
    clock.advance(5_000);
    expect(runs).toEqual([]);
    use.freeMemoryShare = 0.9;
    clock.advance(5_000);
    expect(runs).toHaveLength(3);
  });

  it('is not kept from it by macOS, which leaves hardly any memory free', () => {
    expect(machineUse('darwin').freeMemoryShare).toBe(1);
    expect(machineUse('linux').freeMemoryShare).toBeLessThan(1);
  });

  it('stops', () => {
    const { clock, runs, spareTime } = machine();
    spareTime.check();
    spareTime.stop();
    clock.advance(5_000);
    expect(runs).toEqual([]);
  });
});
