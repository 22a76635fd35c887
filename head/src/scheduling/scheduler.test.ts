import type { NodeId } from '@manta/runtime/ids';
import { NodeResources } from '@manta/runtime/resources/node-resources';
import type { Demand, NodeCapacity } from '@manta/runtime/wire/messages';
import { describe, expect, it } from 'vitest';
import { compileDemand } from './demand.ts';
import type { NodeView } from './node-view.ts';
import { schedule } from './scheduler.ts';

interface FakeNode extends Partial<Omit<NodeView, 'resources' | 'nodeId'>> {
  id: string;
  capacity?: Partial<NodeCapacity>;
  used?: Demand;
}

const gpu = (index: number, model = 'NVIDIA H100') => ({
  index,
  uuid: `G${index}`,
  model,
  memoryBytes: 1_000,
});

function node({ id, capacity, used, ...rest }: FakeNode): NodeView {
  const resources = new NodeResources({
    cpus: 4,
    memoryBytes: 1_000,
    resources: {},
    gpus: [],
    ...capacity,
  });
  if (used) {
    const demand = compileDemand(used);
    resources.reserve(demand, resources.choose(demand) ?? []);
  }
  return { nodeId: id as NodeId, state: 'alive', labels: {}, actorCount: 0, ...rest, resources };
}

const cpus = (amount: number): Demand => ({ resources: { cpus: amount } });
const place = (demand: Demand, ...nodes: FakeNode[]) =>
  schedule(compileDemand(demand), nodes.map(node));
const placedOn = (demand: Demand, ...nodes: FakeNode[]) => {
  const result = place(demand, ...nodes);
  return result.outcome === 'placed' ? result.nodeId : result.outcome;
};

describe('filters', () => {
  it('tells waiting from infeasible, with the reason per node', () => {
    const busy = { id: 'busy', used: cpus(3.5) };
    expect(place(cpus(2), busy)).toEqual({
      outcome: 'wait',
      perNode: { busy: 'needs 2 CPUs, 0.5 of 4 free' },
    });
    expect(place(cpus(8), busy)).toEqual({
      outcome: 'infeasible',
      perNode: { busy: 'needs 8 CPUs, has 4 in all' },
    });
    expect(place({ resources: { gpus: 1 } }, { id: 'plain' })).toEqual({
      outcome: 'infeasible',
      perNode: { plain: 'has no GPU' },
    });
    expect(place(cpus(1))).toEqual({ outcome: 'infeasible', perNode: {} });
  });

  it('passes over nodes that are not alive', () => {
    const result = place(
      cpus(1),
      { id: 'a', state: 'suspect', reason: 'heartbeats are missing' },
      { id: 'b', state: 'draining', reason: 'maintenance' },
      { id: 'c', state: 'dead' },
    );
    expect(result).toEqual({
      outcome: 'wait',
      perNode: {
        a: 'is suspect: heartbeats are missing',
        b: 'is draining: maintenance',
        c: 'is dead',
      },
    });
  });

  it('keeps to labels', () => {
    const demand = { resources: {}, labels: { zone: 'us' } };
    expect(
      placedOn(demand, { id: 'a', labels: { zone: 'eu' } }, { id: 'b', labels: { zone: 'us' } }),
    ).toBe('b');
    expect(place(demand, { id: 'a', labels: { zone: 'eu' } })).toEqual({
      outcome: 'infeasible',
      perNode: { a: 'label zone is "eu", wanted "us"' },
    });
  });

  it('matches an accelerator type with part of a GPU model, in any case', () => {
    const t4 = { id: 'a', capacity: { gpus: [gpu(0, 'Tesla T4')] } };
    const h100 = { id: 'b', capacity: { gpus: [gpu(3)] } };
    const result = place({ resources: { gpus: 1 }, acceleratorType: 'h100' }, t4, h100);
    expect(result).toEqual({ outcome: 'placed', nodeId: 'b', gpuIndexes: [3] });
    expect(placedOn({ resources: {}, acceleratorType: 'H100' }, t4, h100)).toBe('b');
    expect(placedOn({ resources: {}, acceleratorType: 'H100' }, t4)).toBe('infeasible');
  });
});

describe('hybrid', () => {
  it('packs below half load, then takes the least loaded', () => {
    const quarter = { id: 'z', used: cpus(1) };
    expect(placedOn(cpus(1), { id: 'a' }, quarter)).toBe('z');
    expect(placedOn(cpus(1), { id: 'a' }, { id: 'z', used: cpus(2) })).toBe('a');
    expect(placedOn(cpus(1), { id: 'a', used: cpus(3) }, { id: 'z', used: cpus(2) })).toBe('z');
  });

  it('keeps CPU work off GPU nodes while others have room', () => {
    const withGpu = { id: 'a', capacity: { gpus: [gpu(0)] } };
    expect(placedOn(cpus(1), withGpu, { id: 'b', used: cpus(3) })).toBe('b');
    expect(placedOn(cpus(1), withGpu, { id: 'b', used: cpus(4) })).toBe('a');
    expect(placedOn({ resources: { gpus: 0.5 } }, { id: 'b' }, withGpu)).toBe('a');
  });

  it('puts what needs nothing where the fewest actors are', () => {
    const nodes = [
      { id: 'a', actorCount: 3 },
      { id: 'b', actorCount: 2, used: cpus(4) },
    ];
    expect(placedOn({ resources: {} }, ...nodes)).toBe('b');
  });
});

describe('spread and affinity', () => {
  it('spreads to the node with the fewest actors', () => {
    const demand: Demand = { ...cpus(1), scheduling: 'spread' };
    expect(
      placedOn(demand, { id: 'a', actorCount: 1 }, { id: 'b', actorCount: 0, used: cpus(1) }),
    ).toBe('b');
  });

  it('hard affinity waits for its node, soft goes elsewhere', () => {
    const full = { id: 'a', used: cpus(4) };
    const hard: Demand = { ...cpus(1), scheduling: { nodeId: 'a' } };
    expect(placedOn(hard, { id: 'a' }, { id: 'b' })).toBe('a');
    expect(place(hard, full, { id: 'b' })).toEqual({
      outcome: 'wait',
      perNode: { a: 'needs 1 CPU, 0 of 4 free', b: 'is not the wanted node a' },
    });
    expect(
      placedOn({ ...cpus(1), scheduling: { nodeId: 'a', soft: true } }, full, { id: 'b' }),
    ).toBe('b');
    expect(placedOn({ ...cpus(1), scheduling: { nodeId: 'c', soft: true } }, { id: 'b' })).toBe(
      'b',
    );
  });
});
