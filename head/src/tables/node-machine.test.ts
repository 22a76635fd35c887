import { createIdMint } from '@manta/runtime/ids';
import { describe, expect, it } from 'vitest';
import {
  createNodeRecord,
  stepNode,
  type NodeEvent,
  type NodeRegistration,
} from './node-machine.ts';

let counter = 0;
const mint = createIdMint((target) => target.fill(counter++));
const registration: NodeRegistration = {
  nodeId: mint('node'),
  sessionId: 's1',
  name: 'node',
  pid: 1,
  hostname: 'h',
  machineId: 'm',
  capacity: { cpus: 1, memoryBytes: 1, resources: {}, gpus: [] },
  labels: {},
  address: { processId: mint('process'), machineId: 'm' },
};

function after(...events: NodeEvent[]) {
  const record = createNodeRecord(registration, 0);
  let effects: string[] = [];
  for (const event of events) effects = stepNode(record, event, 1).map(({ type }) => type);
  return { record, state: record.state, effects };
}

const SILENT: NodeEvent = { type: 'silent', reason: 'heartbeats are missing' };
const HEARD: NodeEvent = { type: 'heard' };
const DRAIN: NodeEvent = { type: 'drain', reason: 'maintenance' };
const GONE: NodeEvent = { type: 'gone', reason: 'silence' };
const REGISTERED: NodeEvent = { type: 'registered', registration };

describe('node machine', () => {
  it('1: registers again under its id, in a new session too', () => {
    expect(after(REGISTERED)).toMatchObject({
      state: 'alive',
      effects: ['save', 'watch', 'usable'],
    });
    const again: NodeEvent = {
      type: 'registered',
      registration: { ...registration, sessionId: 's2' },
    };
    expect(after(again).effects).toContain('new-session');
    const capacity = { ...registration.capacity, cpus: 2 };
    const grown: NodeEvent = { type: 'registered', registration: { ...registration, capacity } };
    expect(after(grown).effects).toEqual(['refuse']);
  });

  it('2: is suspect when silent', () => {
    expect(after(SILENT)).toMatchObject({ state: 'suspect', effects: [] });
  });

  it('3: comes back when heard', () => {
    expect(after(SILENT, HEARD)).toMatchObject({ state: 'alive', effects: ['usable'] });
    expect(after(HEARD).effects).toEqual([]);
  });

  it('4: drains, and goes on draining after a suspicion', () => {
    expect(after(DRAIN)).toMatchObject({ state: 'draining', effects: ['save'] });
    expect(after(DRAIN, SILENT).state).toBe('suspect');
    expect(after(DRAIN, SILENT, HEARD).state).toBe('draining');
    expect(after(SILENT, DRAIN).state).toBe('suspect');
  });

  it('5: is dead for ever', () => {
    expect(after(GONE)).toMatchObject({ state: 'dead', effects: ['save', 'lost'] });
    expect(after(GONE, HEARD)).toMatchObject({ state: 'dead', effects: [] });
    expect(after(GONE, GONE).effects).toEqual([]);
  });

  it('6: is refused when it registers after its death', () => {
    expect(after(GONE, REGISTERED)).toMatchObject({ state: 'dead', effects: ['refuse'] });
  });
});
