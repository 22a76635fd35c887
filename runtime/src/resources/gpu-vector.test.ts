import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { GpuVector, gpuDemandOf, type GpuGrant } from './gpu-vector.ts';

const GIB = 2 ** 30;
const device = (index: number, memoryBytes = 80 * GIB, model = 'NVIDIA H100') => ({
  index,
  uuid: `GPU-${index}`,
  model,
  memoryBytes,
});
const two = () => new GpuVector([device(0), device(1)]);

function take(gpus: GpuVector, share?: number, memoryBytes?: number): GpuGrant[] | undefined {
  const demand = gpuDemandOf(share, memoryBytes, undefined);
  const indexes = gpus.choose(demand);
  return indexes && gpus.take(demand, indexes);
}

describe('GpuVector', () => {
  it('never adds up free parts of two devices', () => {
    const spread = two();
    for (const index of [0, 1]) spread.take(gpuDemandOf(0.4, undefined, undefined), [index]);
    expect(spread.freeShareSum).toBe(12_000);
    expect(spread.choose(gpuDemandOf(1, undefined, undefined))).toBeUndefined();
    expect(spread.choose(gpuDemandOf(0.8, undefined, undefined))).toBeUndefined();
    expect(spread.choose(gpuDemandOf(0.6, undefined, undefined))).toEqual([0]);
  });

  it('packs fractions best-fit on one device', () => {
    const gpus = two();
    gpus.take(gpuDemandOf(0.5, undefined, undefined), [1]);
    expect(gpus.choose(gpuDemandOf(0.25, undefined, undefined))).toEqual([1]);
  });

  it('gives whole devices only', () => {
    expect(() => gpuDemandOf(1.5, undefined, undefined)).toThrow(/whole number of devices/);
    const gpus = two();
    take(gpus, 0.1);
    expect(gpus.choose(gpuDemandOf(2, undefined, undefined))).toBeUndefined();
    expect(gpus.choose(gpuDemandOf(1, undefined, undefined))).toEqual([1]);
    expect(gpus.canEverHold(gpuDemandOf(2, undefined, undefined))).toBe(true);
    expect(gpus.canEverHold(gpuDemandOf(3, undefined, undefined))).toBe(false);
  });

  it('asks GPU memory of one device, and accounts it together with the share', () => {
    const gpus = two();
    for (const index of [0, 1]) gpus.take(gpuDemandOf(undefined, 50 * GIB, undefined), [index]);
    expect(gpus.choose(gpuDemandOf(undefined, 40 * GIB, undefined))).toBeUndefined();
    expect(gpus.choose(gpuDemandOf(undefined, 30 * GIB, undefined))).toEqual([0]);
    expect(gpus.choose(gpuDemandOf(0.5, undefined, undefined))).toBeUndefined();
    expect(gpus.choose(gpuDemandOf(0.3, undefined, undefined))).toEqual([0]);
    expect(gpus.canEverHold(gpuDemandOf(undefined, 81 * GIB, undefined))).toBe(false);
  });

  it('fits three thirds of the memory on one device', () => {
    const gpus = new GpuVector([device(0, 24 * GIB)]);
    for (let third = 0; third < 3; third++) expect(take(gpus, undefined, 8 * GIB)).toBeDefined();
    expect(take(gpus, undefined, 1)).toBeUndefined();
  });

  it('finds a model by part of its name', () => {
    const gpus = new GpuVector([device(0, GIB, 'NVIDIA T4'), device(1, GIB, 'NVIDIA A100-SXM4')]);
    expect(gpus.choose(gpuDemandOf(1, undefined, 'a100'))).toEqual([1]);
    expect(gpus.choose(gpuDemandOf(undefined, undefined, 'H100'))).toBeUndefined();
    expect(gpus.describeShortfall(gpuDemandOf(1, undefined, 'H100'))).toBe(
      'has no "h100" GPU, only NVIDIA T4, NVIDIA A100-SXM4',
    );
  });

  it('says what is missing', () => {
    const none = new GpuVector([]);
    expect(none.describeShortfall(gpuDemandOf(1, undefined, undefined))).toBe('has no GPU');
    const gpus = two();
    take(gpus, 1);
    take(gpus, 0.4);
    const words = (share?: number, memory?: number) =>
      gpus.describeShortfall(gpuDemandOf(share, memory, undefined));
    expect(words(0.8)).toBe('needs 0.8 of one GPU, at most 0.6 free on one');
    expect(words(2)).toBe('needs 2 whole GPUs, 0 of 2 free');
    expect(words(4)).toBe('needs 4 whole GPUs, has 2 in all');
    expect(words(undefined, 60 * GIB)).toBe('needs 60 GiB on one GPU, at most 48 GiB free on one');
    expect(words(undefined, 90 * GIB)).toBe('needs 90 GiB on one GPU, its largest has 80 GiB');
  });

  it('conserves under any sequence of taking and giving back', () => {
    const demand = fc.oneof(
      fc.record({ share: fc.constantFrom(0.1, 0.25, 0.3333, 0.5, 0.9, 1, 2) }),
      fc.record({ memoryBytes: fc.integer({ min: 1, max: 40 * 1024 }) }),
      fc.record({
        share: fc.constantFrom(0.2, 0.5),
        memoryBytes: fc.integer({ min: 1, max: 9_999 }),
      }),
    );
    const action = fc.record({ demand, free: fc.boolean(), which: fc.nat() });
    fc.assert(
      fc.property(fc.array(action, { maxLength: 60 }), (actions) => {
        const gpus = new GpuVector([device(0, 10_007), device(1, 20_011), device(2, 40_009)]);
        const held: GpuGrant[][] = [];
        for (const { demand: wanted, free, which } of actions) {
          if (free && held.length > 0) {
            gpus.giveBack(held.splice(which % held.length, 1)[0] ?? []);
          } else {
            const { share, memoryBytes } = { share: undefined, memoryBytes: undefined, ...wanted };
            const grants = take(gpus, share, memoryBytes);
            if (grants) held.push(grants);
          }
          for (const {
            device: { index, memoryBytes },
            freeShare,
            freeMemoryBytes,
          } of gpus.devices()) {
            const mine = held.flat().filter((grant) => grant.index === index);
            expect(freeShare).toBeGreaterThanOrEqual(0);
            expect(freeMemoryBytes).toBeGreaterThanOrEqual(0);
            expect(freeShare + mine.reduce((sum, grant) => sum + grant.share, 0)).toBe(10_000);
            expect(freeMemoryBytes + mine.reduce((sum, grant) => sum + grant.memoryBytes, 0)).toBe(
              memoryBytes,
            );
          }
        }
      }),
    );
  });
});
