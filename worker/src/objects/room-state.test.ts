import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ProcessId } from '@manta/runtime/ids';
import {
  createRoomState,
  PATIENCE_MS,
  PRESSURE,
  PRESSURE_TARGET,
  stepRoom,
  type RoomEffect,
  type RoomEvent,
} from './room-state.ts';

const LIMIT = 1_000_000;
const P = 'p_0000000000000001' as ProcessId;
const Q = 'p_0000000000000002' as ProcessId;

/** Plays the room maker by hand, at a time of its own. */
class Play {
  readonly state = createRoomState();
  usedBytes = 0;
  nowMs = 0;

  step(event: RoomEvent): RoomEffect[] {
    const memory = { limitBytes: LIMIT, usedBytes: this.usedBytes };
    return stepRoom(this.state, event, memory, this.nowMs);
  }

  need(id: number, process: ProcessId | undefined = P, bytes = 1_000): RoomEffect[] {
    return this.step({ type: 'need', id, process, bytes });
  }

  reclaimed(freedBytes: number, liveBytes = 0): RoomEffect[] {
    return this.step({ type: 'reclaimed', freedBytes, liveBytes });
  }

  spilled(freedBytes: number): RoomEffect[] {
    return this.step({ type: 'spilled', freedBytes });
  }
}

const kinds = (effects: RoomEffect[]): string[] =>
  effects.map((effect) => ('id' in effect ? `${effect.type} ${effect.id}` : effect.type));

describe('a process without room', () => {
  it('tries again after garbage was collected (1, 3), and after blobs left memory (2, 4)', () => {
    const play = new Play();
    expect(kinds(play.need(1))).toEqual(['reclaim']);
    expect(kinds(play.reclaimed(0))).toEqual(['answer 1']);
    expect(kinds(play.need(2))).toEqual(['spill']);
    expect(kinds(play.spilled(5_000))).toEqual(['answer 2']);
    expect(kinds(play.need(3))).toEqual(['reclaim']);
  });

  it('is refused at once when the value can never fit, and after its patience when nothing can leave (5-7)', () => {
    const play = new Play();
    expect(play.need(1, P, LIMIT)).toEqual([
      { type: 'refuse', id: 1, bytes: LIMIT, tooLarge: true },
    ]);
    play.need(2);
    play.reclaimed(0);
    play.need(3);
    let effects = play.spilled(0);
    expect(effects).toEqual([]);
    for (let waited = 0; waited < 10 * PATIENCE_MS && effects.length === 0;) {
      play.nowMs += 100;
      waited += 100;
      expect(kinds(play.step({ type: 'tick' }))).toEqual(['reclaim']);
      expect(kinds(play.reclaimed(0))).toEqual(['spill']);
      effects = play.spilled(0);
    }
    expect(effects).toEqual([{ type: 'refuse', id: 3, bytes: 1_000, tooLarge: false }]);
    expect(play.nowMs).toBe(PATIENCE_MS);
  });

  it('does not keep others from their turn while it waits', () => {
    const play = new Play();
    play.need(1);
    play.reclaimed(0);
    play.need(2);
    expect(kinds(play.need(3, Q))).toEqual([]);
    expect(kinds(play.spilled(0))).toEqual(['reclaim']);
    expect(kinds(play.reclaimed(0))).toEqual(['answer 3']);
  });

  it('needs nothing any more once it is gone', () => {
    const play = new Play();
    play.need(1);
    play.need(2);
    expect(kinds(play.step({ type: 'gone', process: P }))).toEqual(['forget 1', 'forget 2']);
    expect(kinds(play.reclaimed(10))).toEqual([]);
    expect(play.state.needs).toEqual([]);
  });
});

describe('pressure', () => {
  it('collects garbage, then moves what lives beyond the target to disk, and rests', () => {
    const play = new Play();
    play.nowMs = 1;
    play.usedBytes = PRESSURE * LIMIT - 1;
    expect(play.step({ type: 'tick' })).toEqual([]);
    play.usedBytes = PRESSURE * LIMIT;
    expect(kinds(play.step({ type: 'tick' }))).toEqual(['reclaim']);
    const live = 0.9 * LIMIT;
    const [effect] = play.reclaimed(0, live);
    expect(effect).toMatchObject({ type: 'spill', bytes: live - PRESSURE_TARGET * LIMIT });
    expect(play.spilled(200_000)).toEqual([]);
    expect(play.step({ type: 'tick' })).toEqual([]);
    play.nowMs += 1_000;
    expect(kinds(play.step({ type: 'tick' }))).toEqual(['reclaim']);
  });

  it('asks ever less often when it does not help', () => {
    const play = new Play();
    play.usedBytes = LIMIT;
    let rounds = 0;
    for (play.nowMs = 1; play.nowMs < 600_000; play.nowMs += 100) {
      if (play.step({ type: 'tick' }).length === 0) continue;
      play.reclaimed(0, LIMIT / 2);
      rounds += 1;
    }
    expect(rounds).toBeLessThan(30);
  });
});

describe('whatever happens', () => {
  it('every need is answered or refused once, and one piece of work runs at a time', () => {
    const action = fc.oneof(
      fc.record({ type: fc.constant('need' as const), process: fc.constantFrom(P, Q, undefined) }),
      fc.record({ type: fc.constant('wait' as const), ms: fc.integer({ min: 1, max: 3_000 }) }),
      fc.record({ type: fc.constant('work' as const), freed: fc.constantFrom(0, 0, 500) }),
    );
    fc.assert(
      fc.property(fc.array(action, { maxLength: 60 }), (actions) => {
        const play = new Play();
        const open = new Set<number>();
        const running: RoomEffect[] = [];
        let nextId = 1;
        const take = (effects: RoomEffect[]): void => {
          for (const effect of effects) {
            if (effect.type === 'answer' || effect.type === 'refuse')
              assert(open.delete(effect.id));
            else running.push(effect);
          }
          expect(running.length).toBeLessThanOrEqual(1);
        };
        const work = (freed: number): void => {
          const effect = running.pop();
          if (effect?.type === 'reclaim') take(play.reclaimed(freed));
          if (effect?.type === 'spill') take(play.spilled(freed));
        };
        for (const one of actions) {
          if (one.type === 'need') {
            open.add(nextId);
            take(play.need(nextId++, one.process));
          } else if (one.type === 'wait') {
            play.nowMs += one.ms;
            take(play.step({ type: 'tick' }));
          } else work(one.freed);
        }
        for (let turn = 0; turn < 1_000 && open.size > 0; turn += 1) {
          work(0);
          play.nowMs += 100;
          take(play.step({ type: 'tick' }));
        }
        expect([...open]).toEqual([]);
      }),
    );
  });
});
