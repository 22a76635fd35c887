import fc from 'fast-check';
import type { NodeCommand } from '@manta/runtime/wire/messages';
import { describe, expect, it } from 'vitest';
import { endCommand, startCommand, testMint, testSpec } from '../testing/fake-head.ts';
import {
  actorKeyOf,
  createAgentState,
  hostedActors,
  stepAgent,
  type AgentEffect,
} from './agent-state.ts';

const hostId = testMint('process');
const address = { processId: hostId, machineId: 'm' };
const typesOf = (effects: AgentEffect[]): string[] =>
  effects.map((effect) => (effect.type === 'report' ? effect.event.type : effect.type));
const commands = (...list: NodeCommand[]) => ({ type: 'commands' as const, commands: list });

function runningActor(isolation: 'process' | 'shared' = 'process') {
  const state = createAgentState();
  const spec = testSpec('Ok', isolation);
  const { actorId } = spec;
  const key = actorKeyOf(actorId, 0);
  stepAgent(state, commands(startCommand(spec)));
  stepAgent(state, { type: 'handed', actorKeys: [key], hostId });
  const effects = stepAgent(state, { type: 'started', actorId, incarnation: 0, address, pid: 7 });
  expect(typesOf(effects)).toEqual(['actor-started']);
  return { state, spec, actorId, key };
}

describe('agent state', () => {
  it('(1) (2) starts an actor once and reports where it is', () => {
    const { state, spec, actorId } = runningActor();
    expect(stepAgent(state, commands(startCommand(spec)))).toEqual([]);
    expect(hostedActors(state)).toEqual([{ address, pid: 7, actors: [[actorId, 0]] }]);
  });

  it('(3) (4) reports the end of a process actor when its process is gone', () => {
    const { state, actorId, key } = runningActor();
    const cause = { kind: 'exited', message: 'bye' };
    expect(typesOf(stepAgent(state, { type: 'ended', actorId, incarnation: 0, cause }))).toEqual([
      'release',
    ]);
    const exit = { kind: 'process-died', message: 'exit code 0' };
    const effects = stepAgent(state, { type: 'lost', actorKeys: [key], cause: exit });
    expect(effects.at(-1)).toMatchObject({ type: 'report', event: { type: 'actor-ended', cause } });
    expect(state.actors.size).toBe(0);
  });

  it('(4) reports the end of a shared actor at once, and the command says why', () => {
    const { state, spec, actorId } = runningActor('shared');
    const ending = stepAgent(state, commands(endCommand(spec, 'kill')));
    expect(typesOf(ending)).toEqual(['end']);
    const cause = { kind: 'process-died', message: 'host word' };
    const effects = stepAgent(state, { type: 'ended', actorId, incarnation: 0, cause });
    expect(effects.at(-1)).toMatchObject({
      event: { type: 'actor-ended', cause: { kind: 'killed' } },
    });
  });

  it('an end before its start wins, and the head gets its answer', () => {
    const state = createAgentState();
    const spec = testSpec('Ok');
    expect(typesOf(stepAgent(state, commands(endCommand(spec, 'kill'))))).toEqual(['actor-ended']);
    expect(stepAgent(state, commands(startCommand(spec)))).toEqual([]);
    expect(typesOf(stepAgent(state, commands(startCommand(spec, 1))))).toEqual(['assign']);
  });

  it('an actor started and ended by one message needs no host', () => {
    const state = createAgentState();
    const spec = testSpec('Ok');
    const effects = stepAgent(state, commands(startCommand(spec), endCommand(spec, 'stop')));
    expect(typesOf(effects)).toEqual(['release', 'actor-ended']);
  });

  it('what an actor thread owned ends with it', () => {
    const { state, actorId, key } = runningActor();
    const thread = { ...address, processId: testMint('process') };
    const record = state.actors.get(key);
    if (record) record.address = thread;
    const effects = stepAgent(state, {
      type: 'lost',
      actorKeys: [key],
      cause: { kind: 'killed', message: '' },
    });
    expect(typesOf(effects)).toEqual(['release', 'actor-ended', 'process-ended']);
    expect(state.ended.get(actorId)).toBe(0);
  });

  it('each incarnation is assigned at most once and ended at most once, whatever comes', () => {
    const specs = [testSpec('Ok'), testSpec('Ok', 'shared')];
    const step = fc.record({
      spec: fc.constantFrom(...specs),
      incarnation: fc.nat(2),
      what: fc.constantFrom('start', 'kill', 'stop', 'handed', 'started', 'ended', 'lost'),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const state = createAgentState();
        const assigned: string[] = [];
        const ended: string[] = [];
        const cause = { kind: 'process-died', message: '' };
        for (const { spec, incarnation, what } of steps) {
          const { actorId } = spec;
          const key = actorKeyOf(actorId, incarnation);
          const known = state.actors.get(key);
          const event = {
            start: commands(startCommand(spec, incarnation)),
            kill: commands(endCommand(spec, 'kill', incarnation)),
            stop: commands(endCommand(spec, 'stop', incarnation)),
            handed: { type: 'handed' as const, actorKeys: [key], hostId },
            started: { type: 'started' as const, actorId, incarnation, address, pid: 1 },
            ended: { type: 'ended' as const, actorId, incarnation, cause },
            lost: { type: 'lost' as const, actorKeys: [key], cause },
          }[what as 'start'];
          for (const effect of stepAgent(state, event)) {
            if (effect.type === 'assign') {
              assigned.push(
                ...effect.actors.map((actor) => actorKeyOf(actor.actorId, actor.incarnation)),
              );
            }
            if (effect.type === 'report' && effect.event.type === 'actor-ended' && known)
              ended.push(key);
          }
        }
        expect(new Set(assigned).size).toBe(assigned.length);
        expect(new Set(ended).size).toBe(ended.length);
        expect(state.actors.size + ended.length).toBe(assigned.length);
      }),
    );
  });
});
