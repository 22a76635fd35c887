import { describe, expect, it } from 'vitest';
import type { ActorId } from '../ids.ts';
import type { ActorUpdate } from '../wire/messages.ts';
import { deathError, placementError } from './caller-errors.ts';

const ID = 'a_0000000000000001' as ActorId;
const update = (changes: Partial<ActorUpdate>): ActorUpdate => ({
  actorId: ID,
  revision: 1,
  incarnation: 0,
  state: 'dead',
  ...changes,
});
const unplaced = { kind: 'unschedulable', message: 'No node had room for it within 5 ms.' };

describe('what could not be placed', () => {
  it('is named, with the reasons of a few nodes and what to do', () => {
    const perNode = { n_1: 'needs 2 CPUs, has 1', n_2: 'is draining' };
    expect(
      placementError(
        'Task run',
        update({ errorName: 'InfeasibleError', deathCause: unplaced, perNode }),
      ),
    ).toMatchObject({
      name: 'InfeasibleError',
      message:
        'Task run could not be placed. No node had room for it within 5 ms. ' +
        'Node n_1 needs 2 CPUs, has 1; node n_2 is draining. Ask for less, or add a node that has it.',
      perNode,
    });
  });

  it('keeps the reasons of all nodes, and shows three', () => {
    const nodes = ['n_1', 'n_2', 'n_3', 'n_4', 'n_5'];
    const perNode = Object.fromEntries(nodes.map((node) => [node, 'needs 1 GPU, has 0']));
    const error = deathError(
      ID,
      'Trainer',
      update({ errorName: 'SchedulingTimeoutError', deathCause: unplaced, perNode }),
    );
    expect(error).toMatchObject({ name: 'SchedulingTimeoutError', perNode });
    expect(error.message).toMatch(
      /^Actor a_0000000000000001 \(Trainer\) could not be placed.*node n_3 [^;]*; 2 more in perNode\. Wait longer/,
    );
  });

  it('says so where there are no nodes; other ends are no placement errors', () => {
    const infeasible = update({ errorName: 'InfeasibleError', deathCause: unplaced });
    expect(placementError('Task run', infeasible)?.message).toContain('The cluster has no node.');
    const crash = { kind: 'process-died', message: 'process 1 ended' };
    expect(placementError('Task run', update({ deathCause: crash }))).toBeUndefined();
    expect(deathError(ID, 'Trainer', update({ deathCause: crash }))).toMatchObject({
      name: 'ActorDiedError',
      message: 'Actor a_0000000000000001 (Trainer) is dead: process 1 ended',
      deathCause: crash,
    });
  });
});
