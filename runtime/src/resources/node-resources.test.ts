import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { gpuDemandOf } from './gpu-vector.ts';
import { NodeResources, type Reservation, type ResourceDemand } from './node-resources.ts';
import { resourceSetOf, type PlainAmounts } from './resource-set.ts';

const capacity = {
  cpus: 4,
  memoryBytes: 1_000,
  resources: { slots: 2 },
  gpus: [{ index: 0, uuid: 'GPU-0', model: 'T4', memoryBytes: 1_000 }],
};
const demandOf = (amounts: PlainAmounts, gpus?: number): ResourceDemand => ({
  set: resourceSetOf(amounts),
  gpu: gpuDemandOf(gpus, undefined, undefined),
});

describe('NodeResources', () => {
  it('takes everything or nothing', () => {
    const node = new NodeResources(capacity);
    node.reserve(demandOf({ cpus: 1 }, 1), [0]);
    expect(node.choose(demandOf({ cpus: 1 }, 0.1))).toBeUndefined();
    expect(node.choose(demandOf({ cpus: 3 }))).toEqual([]);
    expect(node.plainFree()).toEqual({ cpus: 3, memoryBytes: 1_000, slots: 2, gpus: 0 });
  });

  it('says what is missing, one phrase per resource', () => {
    const node = new NodeResources(capacity);
    node.reserve(demandOf({ cpus: 3.5, memoryBytes: 600 }), []);
    const words = (amounts: PlainAmounts) => node.describeShortfall(demandOf(amounts));
    expect(words({ cpus: 2 })).toEqual(['needs 2 CPUs, 0.5 of 4 free']);
    expect(words({ cpus: 1 })).toEqual(['needs 1 CPU, 0.5 of 4 free']);
    expect(words({ cpus: 8 })).toEqual(['needs 8 CPUs, has 4 in all']);
    expect(words({ memoryBytes: 500 })).toEqual(['needs 500 B memory, 400 B of 1000 B free']);
    expect(words({ resources: { slots: 3 } })).toEqual(['needs 3 slots, has 2 in all']);
    expect(words({ resources: { fpga: 1 } })).toEqual(['has no fpga']);
    expect(words({ cpus: 0.5 })).toEqual([]);
  });

  it('refuses reserved names of custom resources', () => {
    expect(() => resourceSetOf({ resources: { gpus: 1 } })).toThrow(/not a custom resource/);
  });

  it('keeps reserved + free = total', () => {
    const amounts = fc.record({
      cpus: fc.constantFrom(0, 0.1, 0.3, 1, 2.5),
      memoryBytes: fc.integer({ min: 0, max: 400 }),
      resources: fc.constantFrom({}, { slots: 0.7 }, { slots: 1 }),
      gpus: fc.constantFrom(0, 0.3, 1),
    });
    const action = fc.record({ amounts, free: fc.boolean(), which: fc.nat() });
    fc.assert(
      fc.property(fc.array(action, { maxLength: 60 }), (actions) => {
        const node = new NodeResources(capacity);
        const held: Reservation[] = [];
        for (const { amounts: wanted, free, which } of actions) {
          const demand = demandOf(wanted, wanted.gpus);
          const gpuIndexes = node.choose(demand);
          if (free && held.length > 0) {
            const [reservation] = held.splice(which % held.length, 1);
            if (reservation) node.release(reservation);
          } else if (gpuIndexes) held.push(node.reserve(demand, gpuIndexes));
          const sum = (of: (reservation: Reservation) => number) =>
            held.reduce((total, reservation) => total + of(reservation), 0);
          expect(node.free.cpus + sum(({ set }) => set.cpus)).toBe(node.total.cpus);
          expect(node.free.memoryBytes + sum(({ set }) => set.memoryBytes)).toBe(1_000);
          const slots = sum(({ set }) => set.custom.get('slots') ?? 0);
          expect((node.free.custom.get('slots') ?? 0) + slots).toBe(20_000);
          expect(Math.min(node.free.cpus, node.free.memoryBytes)).toBeGreaterThanOrEqual(0);
        }
      }),
    );
  });
});
