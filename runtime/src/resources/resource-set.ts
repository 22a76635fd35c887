import { assert } from '../assert.ts';
import { InvalidArgumentError } from '../errors/errors.ts';
import {
  formatBytes,
  formatFixedPoint,
  fromFixedPoint,
  toFixedPoint,
  type Fixed,
} from './fixed-point.ts';

/** Everything that is one pool per node. GPUs are not here: they are devices (gpu-vector.ts). */
export interface ResourceSet {
  readonly cpus: Fixed;
  readonly memoryBytes: number;
  readonly custom: ReadonlyMap<string, Fixed>;
}

export interface PlainAmounts {
  cpus?: number | undefined;
  memoryBytes?: number | undefined;
  resources?: Record<string, number> | undefined;
}

const RESERVED_NAMES = new Set(['cpus', 'gpus', 'memoryBytes']);

/** @throws InvalidArgumentError when an amount is out of range or a custom resource has a reserved name. */
export function resourceSetOf(amounts: PlainAmounts): ResourceSet {
  const custom = new Map<string, Fixed>();
  for (const [name, amount] of Object.entries(amounts.resources ?? {})) {
    if (RESERVED_NAMES.has(name)) {
      throw new InvalidArgumentError(
        `resources.${name} is not a custom resource: pass ${name} beside resources`,
      );
    }
    const value = toFixedPoint(amount, `resources.${name}`);
    if (value > 0) custom.set(name, value);
  }
  const memoryBytes = Math.ceil(amounts.memoryBytes ?? 0);
  if (!Number.isSafeInteger(memoryBytes) || memoryBytes < 0) {
    throw new InvalidArgumentError(
      `memoryBytes must be a whole number of bytes, not ${amounts.memoryBytes}`,
    );
  }
  return { cpus: toFixedPoint(amounts.cpus ?? 0, 'cpus'), memoryBytes, custom };
}

export function isEmptySet(set: ResourceSet): boolean {
  return set.cpus === 0 && set.memoryBytes === 0 && set.custom.size === 0;
}

/** True when `whole` has at least what `part` asks of each resource. */
export function containsSet(whole: ResourceSet, part: ResourceSet): boolean {
  if (part.cpus > whole.cpus || part.memoryBytes > whole.memoryBytes) return false;
  for (const [name, amount] of part.custom) {
    if (amount > (whole.custom.get(name) ?? 0)) return false;
  }
  return true;
}

/** What is missing, one phrase per resource: `needs 2 CPUs, 0.5 of 4 free`. */
export function describeShortfall(
  demand: ResourceSet,
  free: ResourceSet,
  total: ResourceSet,
): string[] {
  const phrases: string[] = [];
  if (demand.cpus > 0 && demand.cpus > free.cpus) {
    const unit = demand.cpus === 10_000 ? 'CPU' : 'CPUs';
    const left =
      demand.cpus > total.cpus ? 'has' : `${formatFixedPoint(Math.max(0, free.cpus))} of`;
    phrases.push(
      `needs ${formatFixedPoint(demand.cpus)} ${unit}, ${phraseEnd(left, formatFixedPoint(total.cpus))}`,
    );
  }
  if (demand.memoryBytes > free.memoryBytes) {
    const left =
      demand.memoryBytes > total.memoryBytes ? 'has' : `${formatBytes(free.memoryBytes)} of`;
    phrases.push(
      `needs ${formatBytes(demand.memoryBytes)} memory, ${phraseEnd(left, formatBytes(total.memoryBytes))}`,
    );
  }
  for (const [name, amount] of demand.custom) {
    const freeAmount = free.custom.get(name) ?? 0;
    const totalAmount = total.custom.get(name) ?? 0;
    if (amount <= freeAmount) continue;
    const needs = `needs ${formatFixedPoint(amount)} ${name}`;
    if (totalAmount === 0) phrases.push(`has no ${name}`);
    else {
      const left = amount > totalAmount ? 'has' : `${formatFixedPoint(freeAmount)} of`;
      phrases.push(`${needs}, ${phraseEnd(left, formatFixedPoint(totalAmount))}`);
    }
  }
  return phrases;
}

function phraseEnd(left: string, total: string): string {
  return left === 'has' ? `has ${total} in all` : `${left} ${total} free`;
}

/** A pool that is taken from and given back to; `free` plus everything taken, less what is lent, is always `total`. */
export class ResourcePool {
  readonly total: ResourceSet;
  readonly #custom: Map<string, Fixed>;
  #cpus: Fixed;
  #memoryBytes: number;

  constructor(total: ResourceSet) {
    this.total = total;
    this.#cpus = total.cpus;
    this.#memoryBytes = total.memoryBytes;
    this.#custom = new Map(total.custom);
  }

  get free(): ResourceSet {
    return { cpus: this.#cpus, memoryBytes: this.#memoryBytes, custom: this.#custom };
  }

  fits(demand: ResourceSet): boolean {
    // Overdrawn CPUs (reclaimCpus) are in the way of nobody who needs none.
    if (demand.cpus > 0 && demand.cpus > this.#cpus) return false;
    if (demand.memoryBytes > this.#memoryBytes) return false;
    for (const [name, amount] of demand.custom) {
      if (amount > (this.#custom.get(name) ?? 0)) return false;
    }
    return true;
  }

  take(demand: ResourceSet): void {
    assert(this.fits(demand), 'took more resources than are free');
    this.#change(demand, -1);
  }

  giveBack(demand: ResourceSet): void {
    this.#change(demand, 1);
    assert(containsSet(this.total, this.free), 'gave back more resources than were taken');
  }

  /** Lent CPUs are their owner's again, also when others use them: `free` may be less than nothing for a while. */
  reclaimCpus(cpus: Fixed): void {
    this.#cpus -= cpus;
  }

  /** The largest used share of any resource, from 0 to 1. */
  get utilisation(): number {
    let highest = usedShare(this.#cpus, this.total.cpus);
    highest = Math.max(highest, usedShare(this.#memoryBytes, this.total.memoryBytes));
    for (const [name, total] of this.total.custom) {
      highest = Math.max(highest, usedShare(this.#custom.get(name) ?? 0, total));
    }
    return highest;
  }

  #change(demand: ResourceSet, sign: 1 | -1): void {
    this.#cpus += sign * demand.cpus;
    this.#memoryBytes += sign * demand.memoryBytes;
    for (const [name, amount] of demand.custom) {
      this.#custom.set(name, (this.#custom.get(name) ?? 0) + sign * amount);
    }
  }
}

function usedShare(free: number, total: number): number {
  return total === 0 ? 0 : (total - free) / total;
}

/** Keys as people see them: `cpus`, `memoryBytes` and the names of custom resources. */
export function plainAmountsOf(set: ResourceSet): Record<string, number> {
  const plain: Record<string, number> = {
    cpus: fromFixedPoint(set.cpus),
    memoryBytes: set.memoryBytes,
  };
  for (const [name, amount] of set.custom) plain[name] = fromFixedPoint(amount);
  return plain;
}
