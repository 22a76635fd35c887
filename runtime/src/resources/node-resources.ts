import type { NodeCapacity } from '../wire/messages.ts';
import { fromFixedPoint } from './fixed-point.ts';
import { GpuVector, type GpuDemand, type GpuGrant } from './gpu-vector.ts';
import {
  containsSet,
  describeShortfall,
  isEmptySet,
  plainAmountsOf,
  ResourcePool,
  resourceSetOf,
  type ResourceSet,
} from './resource-set.ts';

export interface ResourceDemand {
  readonly set: ResourceSet;
  readonly gpu: GpuDemand;
}

/** What a holder has of a node; given back exactly once. */
export interface Reservation {
  readonly set: ResourceSet;
  readonly gpuGrants: readonly GpuGrant[];
}

/** All that one node offers: pools and devices, taken and given back together. */
export class NodeResources {
  readonly gpus: GpuVector;
  readonly #pool: ResourcePool;

  constructor(capacity: NodeCapacity) {
    this.#pool = new ResourcePool(resourceSetOf(capacity));
    this.gpus = new GpuVector(capacity.gpus);
  }

  get total(): ResourceSet {
    return this.#pool.total;
  }
  get free(): ResourceSet {
    return this.#pool.free;
  }

  /** The GPU devices to use when it fits now, else undefined. */
  choose(demand: ResourceDemand): number[] | undefined {
    return this.#pool.fits(demand.set) ? this.gpus.choose(demand.gpu) : undefined;
  }

  canEverHold(demand: ResourceDemand): boolean {
    return containsSet(this.#pool.total, demand.set) && this.gpus.canEverHold(demand.gpu);
  }

  reserve(demand: ResourceDemand, gpuIndexes: readonly number[]): Reservation {
    const gpuGrants = this.gpus.take(demand.gpu, gpuIndexes);
    this.#pool.take(demand.set);
    return { set: demand.set, gpuGrants };
  }

  release(reservation: Reservation): void {
    this.#pool.giveBack(reservation.set);
    this.gpus.giveBack(reservation.gpuGrants);
  }

  /** Why it does not fit, in words; empty when it does. */
  describeShortfall(demand: ResourceDemand): string[] {
    const phrases = describeShortfall(demand.set, this.free, this.total);
    if (this.gpus.choose(demand.gpu) === undefined)
      phrases.push(this.gpus.describeShortfall(demand.gpu));
    return phrases;
  }

  get utilisation(): number {
    return Math.max(this.#pool.utilisation, this.gpus.utilisation);
  }

  /** Keys `cpus`, `gpus`, `memoryBytes` and the names of custom resources. */
  plainTotal(): Record<string, number> {
    return { ...plainAmountsOf(this.total), gpus: this.gpus.deviceCount };
  }
  plainFree(): Record<string, number> {
    return { ...plainAmountsOf(this.free), gpus: fromFixedPoint(this.gpus.freeShareSum) };
  }
}

export function isEmptyDemand(demand: ResourceDemand): boolean {
  return isEmptySet(demand.set) && demand.gpu.deviceCount === 0;
}
