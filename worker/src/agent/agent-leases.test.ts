import type { NodeCommand } from '@manta/runtime/wire/messages';
import { describe, expect, it } from 'vitest';
import { startCommand, testMint, testSpec } from '../testing/fake-head.ts';
import {
  actorKeyOf,
  createAgentState,
  leases,
  stepAgent,
  type AgentEffect,
} from './agent-state.ts';

const hostId = testMint('process');
const address = { processId: hostId, machineId: 'm' };
const RETURNED = { kind: 'returned', message: 'It was given back.' };
const typesOf = (effects: AgentEffect[]): string[] =>
  effects.map((effect) => (effect.type === 'report' ? effect.event.type : effect.type));
const returned = { type: 'returned' as const, incarnation: 0, isSpent: false };
const commands = (...list: NodeCommand[]) => ({ type: 'commands' as const, commands: list });

function runningLease(gpuIndexes: number[] = []) {
  const state = createAgentState();
  const spec = { ...testSpec('task'), kind: 'task-worker' as const };
  const { actorId } = spec;
  const key = actorKeyOf(actorId, 0);
  stepAgent(state, commands({ type: 'start-actor', spec, incarnation: 0, gpuIndexes }));
  stepAgent(state, { type: 'handed', actorKeys: [key], hostId });
  stepAgent(state, { type: 'started', actorId, incarnation: 0, address, pid: 7 });
  const end: NodeCommand = {
    type: 'end-actor',
    actorId,
    incarnation: 0,
    how: 'return',
    cause: RETURNED,
  };
  return { state, spec, actorId, key, end };
}

describe('leases in the agent', () => {
  it('are over when their host says that they are returned, and the host is kept', () => {
    const { state, actorId, end } = runningLease();
    expect(typesOf(stepAgent(state, commands(end)))).toEqual(['end']);
    expect(state.actors.size).toBe(1);
    const effects = stepAgent(state, { ...returned, actorId });
    expect(typesOf(effects)).toEqual(['keep-host', 'release', 'actor-ended']);
    expect(effects.at(-1)).toMatchObject({ event: { cause: RETURNED } });
    expect(stepAgent(state, { ...returned, actorId })).toEqual([]);
  });

  it('are over as well when their host is spent, which is to go when it may', () => {
    const { state, actorId, key, end } = runningLease();
    stepAgent(state, commands(end));
    const effects = stepAgent(state, { ...returned, actorId, isSpent: true });
    expect(effects[0]).toEqual({ type: 'retire-host', actorKey: key, isHeld: false });
    expect(typesOf(effects)).toEqual(['retire-host', 'release', 'actor-ended']);
  });

  it('with a device are over only when their process is gone', () => {
    const { state, actorId, key, end } = runningLease([1]);
    stepAgent(state, commands(end));
    const effects = stepAgent(state, { ...returned, actorId });
    expect(effects).toEqual([{ type: 'retire-host', actorKey: key, isHeld: true }]);
    expect(leases(state)).toMatchObject([{ gpuIndexes: [1], isRetiring: true }]);
    expect(stepAgent(state, commands(end))).toEqual([]);
    const cause = { kind: 'process-died', message: 'exit code 0' };
    const ended = stepAgent(state, { type: 'lost', actorKeys: [key], cause });
    expect(typesOf(ended)).toEqual(['release', 'actor-ended']);
    expect(ended.at(-1)).toMatchObject({ event: { cause: RETURNED } });
  });

  it('are over when their host is gone instead', () => {
    const { state, key, end } = runningLease();
    stepAgent(state, commands(end));
    const cause = { kind: 'process-died', message: 'exit code 1' };
    const effects = stepAgent(state, { type: 'lost', actorKeys: [key], cause });
    expect(typesOf(effects)).toEqual(['release', 'actor-ended']);
    expect(state.actors.size).toBe(0);
  });

  it('say when their task begins and ends to wait, once', () => {
    const { state, actorId } = runningLease();
    const blocked = { type: 'blocked', actorId, incarnation: 0, isBlocked: true } as const;
    expect(typesOf(stepAgent(state, blocked))).toEqual(['actor-blocked']);
    expect(stepAgent(state, blocked)).toEqual([]);
    expect(leases(state)).toMatchObject([{ incarnation: 0, gpuIndexes: [], isBlocked: true }]);
    const effects = stepAgent(state, { ...blocked, isBlocked: false });
    expect(typesOf(effects)).toEqual(['actor-unblocked']);
  });

  it('are reported from their start to their end', () => {
    const { state, spec, actorId, end } = runningLease();
    expect(leases(state)).toEqual([{ spec, incarnation: 0, gpuIndexes: [], isBlocked: false }]);
    stepAgent(state, commands(end));
    stepAgent(state, { ...returned, actorId });
    expect(leases(state)).toEqual([]);
  });

  it('have their end reported again when they are asked for again', () => {
    const { state, spec, actorId, end } = runningLease();
    expect(stepAgent(state, commands(startCommand(spec)))).toEqual([]);
    stepAgent(state, commands(end));
    stepAgent(state, { ...returned, actorId });
    const effects = stepAgent(state, commands(startCommand(spec)));
    expect(typesOf(effects)).toEqual(['actor-ended']);
    expect(state.actors.size).toBe(0);
  });

  it('leave what is kept for a job to the pool', () => {
    const { state, spec } = runningLease();
    const { jobId } = spec;
    expect(stepAgent(state, commands({ type: 'end-job', jobId }))).toEqual([
      { type: 'end-job', jobId },
    ]);
  });
});
