import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ObjectLostError } from '../errors/errors.ts';
import type { NodeId, ProcessId } from '../ids.ts';
import type { ProcessAddress } from '../wire/messages.ts';
import { PullPlan, type PullEffect, type PullPlanSettings } from './pull-plan.ts';

const agent = (node: number): ProcessAddress => ({
  processId: `p_${node}` as ProcessId,
  nodeId: `n_${node}` as NodeId,
  machineId: 'm',
});
const settings: PullPlanSettings = {
  sizeBytes: 10,
  chunkBytes: 3,
  windowChunks: 2,
  corruptChunksMax: 2,
};
const requested = (effects: PullEffect[]): number[] =>
  effects.flatMap((effect) => (effect.type === 'request' ? [effect.chunk.index] : []));
const typesOf = (effects: PullEffect[]): string[] => effects.map(({ type }) => type);

describe('a pull', () => {
  it('asks for chunks in order, a window of them at a time, the last one short (1–4)', () => {
    const plan = new PullPlan(settings);
    expect(typesOf(plan.step({ type: 'start' }))).toEqual(['ask-source']);
    const first = plan.step({ type: 'source', agent: agent(1) });
    expect(requested(first)).toEqual([0, 1]);
    const chunk = (index: number) => plan.step({ type: 'chunk', attempt: 1, index, isSound: true });
    expect(requested(chunk(1))).toEqual([2]);
    const last = chunk(0);
    expect(last).toEqual([
      { type: 'request', attempt: 1, agent: agent(1), chunk: { index: 3, offset: 9, bytes: 1 } },
    ]);
    expect(chunk(3)).toEqual([]);
    expect(chunk(2)).toEqual([{ type: 'finished' }]);
    expect(plan.phase).toBe('done');
  });

  it('goes on from another source at the chunks that are missing (6)', () => {
    const plan = new PullPlan(settings);
    plan.step({ type: 'start' });
    plan.step({ type: 'source', agent: agent(1) });
    plan.step({ type: 'chunk', attempt: 1, index: 1, isSound: true });
    const failed = plan.step({ type: 'source-failed', attempt: 1, failure: 'unreachable' });
    expect(failed).toEqual([
      { type: 'give-up-source', agent: agent(1), failure: 'unreachable' },
      { type: 'ask-source' },
    ]);
    // What the first source still says does not count.
    expect(plan.step({ type: 'chunk', attempt: 1, index: 0, isSound: true })).toEqual([]);
    expect(requested(plan.step({ type: 'source', agent: agent(2) }))).toEqual([0, 2]);
  });

  it('asks for a corrupt chunk anew, and leaves a source that corrupts too many', () => {
    const plan = new PullPlan(settings);
    plan.step({ type: 'start' });
    plan.step({ type: 'source', agent: agent(1) });
    const corrupt = (index: number) =>
      plan.step({ type: 'chunk', attempt: 1, index, isSound: false });
    expect(requested(corrupt(0))).toEqual([0]);
    expect(typesOf(corrupt(1))).toEqual(['give-up-source', 'ask-source']);
  });

  it('fails when it is refused, and stays so (5)', () => {
    const plan = new PullPlan(settings);
    plan.step({ type: 'start' });
    const error = new ObjectLostError('lost');
    expect(plan.step({ type: 'refused', error })).toEqual([{ type: 'failed', error }]);
    expect(plan.step({ type: 'source', agent: agent(1) })).toEqual([]);
  });
});

describe('any history of a pull', () => {
  it('takes every chunk once, keeps to its window, and ends', () => {
    const sizes = fc.record({
      sizeBytes: fc.integer({ min: 0, max: 200 }),
      chunkBytes: fc.integer({ min: 1, max: 30 }),
      windowChunks: fc.integer({ min: 1, max: 6 }),
      corruptChunksMax: fc.integer({ min: 1, max: 4 }),
    });
    const events = fc.array(
      fc.record({
        what: fc.constantFrom('sound', 'sound', 'sound', 'corrupt', 'fail', 'late'),
        pick: fc.nat(),
      }),
      { maxLength: 300 },
    );
    fc.assert(
      fc.property(sizes, events, (size, history) => {
        const plan = new PullPlan(size);
        const covered = new Set<number>();
        let asked = new Map<number, number>();
        let sources = 0;
        const apply = (effects: PullEffect[]): void => {
          for (const effect of effects) {
            if (effect.type === 'give-up-source') asked = new Map();
            else if (effect.type === 'request') {
              if (asked.has(effect.chunk.index)) throw new Error('asked for twice');
              asked.set(effect.chunk.index, effect.chunk.bytes);
            } else if (effect.type === 'ask-source')
              apply(plan.step({ type: 'source', agent: agent((sources += 1)) }));
          }
          expect(asked.size).toBeLessThanOrEqual(size.windowChunks);
        };
        const chunk = (pick: number, isSound: boolean): void => {
          const index = [...asked.keys()][pick % asked.size] as number;
          if (isSound)
            for (let at = 0; at < (asked.get(index) as number); at += 1) {
              if (covered.has(index * size.chunkBytes + at)) throw new Error('taken twice');
              covered.add(index * size.chunkBytes + at);
            }
          asked.delete(index);
          apply(plan.step({ type: 'chunk', attempt: plan.attempt, index, isSound }));
        };
        apply(plan.step({ type: 'start' }));
        for (const { what, pick } of history) {
          if (plan.phase === 'done') break;
          if (what === 'fail')
            apply(plan.step({ type: 'source-failed', attempt: plan.attempt, failure: 'missing' }));
          else if (what === 'late')
            apply(
              plan.step({ type: 'chunk', attempt: plan.attempt - 1, index: pick, isSound: true }),
            );
          else chunk(pick, what === 'sound');
        }
        while (plan.phase !== 'done') chunk(0, true);
        expect(covered.size).toBe(size.sizeBytes);
      }),
      { numRuns: 300 },
    );
  });
});
