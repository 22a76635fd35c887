import type { NodeCapacity } from '../wire/messages.ts';
import { fromFixedPoint, type Fixed } from './fixed-point.ts';
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
  /** CPUs that are its holder's, but lent to others while it waits: `set` is without them. */
  readonly lentCpus?: Fixed;
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

  /**
   * As `reserve`, for what has run there all along: its CPUs need not be free, others may have been lent them.
   * Undefined when the rest is not, so that it cannot be true.
   */
  reserveAgain(demand: ResourceDemand, gpuIndexes: readonly number[]): Reservation | undefined {
    const { cpus } = demand.set;
    const rest = { ...demand.set, cpus: 0 };
    if (!this.#pool.fits(rest) || !this.gpus.canTake(demand.gpu, gpuIndexes)) return undefined;
    const gpuGrants = this.gpus.take(demand.gpu, gpuIndexes);
    this.#pool.take(rest);
    this.#pool.reclaimCpus(cpus);
    return { set: demand.set, gpuGrants };
  }

  release(reservation: Reservation): void {
    this.#pool.giveBack(reservation.set);
    this.gpus.giveBack(reservation.gpuGrants);
  }

  /** Its holder waits: others may use its CPUs, and nothing else of it. Returns what it keeps. */
  lendCpus(reservation: Reservation): Reservation {
    const { set, gpuGrants, lentCpus = 0 } = reservation;
    this.#pool.giveBack({ cpus: set.cpus, memoryBytes: 0, custom: new Map() });
    return { set: { ...set, cpus: 0 }, gpuGrants, lentCpus: lentCpus + set.cpus };
  }

  /** Its holder goes on, whether or not the lent CPUs are free. Returns what it has. */
  reclaimCpus(reservation: Reservation): Reservation {
    const { set, gpuGrants, lentCpus = 0 } = reservation;
    this.#pool.reclaimCpus(lentCpus);
    return { set: { ...set, cpus: set.cpus + lentCpus }, gpuGrants };
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
    const { cpus, memoryBytes, custom } = this.free;
    const free = { cpus: Math.max(0, cpus), memoryBytes, custom };
    return { ...plainAmountsOf(free), gpus: fromFixedPoint(this.gpus.freeShareSum) };
  }
}

export function isEmptyDemand(demand: ResourceDemand): boolean {
  return isEmptySet(demand.set) && demand.gpu.deviceCount === 0;
}
