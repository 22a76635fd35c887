import { assert } from '../assert.ts';
import { InvalidArgumentError } from '../errors/errors.ts';
import type { GpuDevice } from '../wire/messages.ts';
import {
  FIXED_ONE,
  formatBytes,
  formatFixedPoint,
  toFixedPoint,
  type Fixed,
} from './fixed-point.ts';

/** What somebody wants of GPUs: a share or an amount of memory of ONE device, or whole devices. */
export interface GpuDemand {
  /** 0: no GPU. */
  readonly deviceCount: number;
  /** Of each device; 0 when memory alone was asked for. */
  readonly share: Fixed;
  /** Of each device; 0 when a share alone was asked for. */
  readonly memoryBytes: number;
  /** Part of the model's name, in lower case. */
  readonly model?: string;
}

/** What was taken of one device. */
export interface GpuGrant {
  readonly index: number;
  readonly share: Fixed;
  readonly memoryBytes: number;
}

export const NO_GPU_DEMAND: GpuDemand = { deviceCount: 0, share: 0, memoryBytes: 0 };

/** @throws InvalidArgumentError when more than one device is asked for with a fraction. */
export function gpuDemandOf(
  gpus: number | undefined,
  memoryBytes: number | undefined,
  model: string | undefined,
): GpuDemand {
  const share = toFixedPoint(gpus ?? 0, 'gpus');
  const named = model === undefined ? {} : { model: model.toLowerCase() };
  if (share > FIXED_ONE && share % FIXED_ONE !== 0) {
    throw new InvalidArgumentError(
      `gpus is ${gpus}: below 1 it is a share of one device, from 1 on a whole number of devices`,
    );
  }
  const bytes = memoryBytes ?? 0;
  if (share === 0 && bytes === 0) return { ...NO_GPU_DEMAND, ...named };
  if (share < FIXED_ONE) return { deviceCount: 1, share, memoryBytes: bytes, ...named };
  return { deviceCount: share / FIXED_ONE, share: FIXED_ONE, memoryBytes: bytes, ...named };
}

interface DeviceState {
  readonly device: GpuDevice;
  freeShare: Fixed;
  freeMemoryBytes: number;
}

/**
 * The GPUs of one node. A device is a share of 1 and its memory, and both are taken together: a share takes its part
 * of the memory, an amount of memory takes its part of the share. Free parts of two devices never add up.
 */
export class GpuVector {
  readonly #devices: readonly DeviceState[];

  /** @throws InvalidArgumentError when two devices have one index. */
  constructor(devices: readonly GpuDevice[]) {
    if (new Set(devices.map(({ index }) => index)).size < devices.length) {
      throw new InvalidArgumentError('two GPUs of one node have the same index');
    }
    this.#devices = [...devices]
      .sort((a, b) => a.index - b.index)
      .map((device) => ({ device, freeShare: FIXED_ONE, freeMemoryBytes: device.memoryBytes }));
  }

  get deviceCount(): number {
    return this.#devices.length;
  }

  devices(): { device: GpuDevice; freeShare: Fixed; freeMemoryBytes: number }[] {
    return this.#devices.map((state) => ({ ...state }));
  }

  /** Sum of free shares: for display and load only, never for fitting. */
  get freeShareSum(): Fixed {
    let sum = 0;
    for (const state of this.#devices) sum += state.freeShare;
    return sum;
  }

  get utilisation(): number {
    if (this.#devices.length === 0) return 0;
    return 1 - this.freeShareSum / (this.#devices.length * FIXED_ONE);
  }

  hasModel(model: string): boolean {
    return this.#devices.some(({ device }) => device.model.toLowerCase().includes(model));
  }

  /** The devices to use now, or undefined: fractions go best-fit on one device, whole devices lowest index first. */
  choose(demand: GpuDemand): number[] | undefined {
    if (demand.deviceCount === 0) return this.#acceptsModel(demand) ? [] : undefined;
    const fitting = this.#devices.filter((state) => this.#fitsNow(state, demand));
    if (fitting.length < demand.deviceCount) return undefined;
    if (demand.share < FIXED_ONE) {
      fitting.sort((a, b) => a.freeShare - b.freeShare || a.freeMemoryBytes - b.freeMemoryBytes);
    }
    return fitting.slice(0, demand.deviceCount).map(({ device }) => device.index);
  }

  /** Could an empty node hold it? */
  canEverHold(demand: GpuDemand): boolean {
    if (demand.deviceCount === 0) return this.#acceptsModel(demand);
    const able = this.#devices.filter(
      ({ device }) => modelMatches(device, demand) && demand.memoryBytes <= device.memoryBytes,
    );
    return able.length >= demand.deviceCount;
  }

  /** Takes from exactly these devices; they come from `choose`, or from an earlier reservation. */
  take(demand: GpuDemand, indexes: readonly number[]): GpuGrant[] {
    assert(indexes.length === demand.deviceCount, 'as many devices as asked for');
    return indexes.map((index) => {
      const state = this.#device(index);
      assert(this.#fitsNow(state, demand), `GPU ${index} has no room`);
      const grant = grantOn(state.device, demand);
      state.freeShare -= grant.share;
      state.freeMemoryBytes -= grant.memoryBytes;
      return grant;
    });
  }

  /** Would `take` do? */
  canTake(demand: GpuDemand, indexes: readonly number[]): boolean {
    return (
      indexes.length === demand.deviceCount &&
      new Set(indexes).size === indexes.length &&
      indexes.every((index) => {
        const state = this.#devices.find(({ device }) => device.index === index);
        return state !== undefined && this.#fitsNow(state, demand);
      })
    );
  }

  giveBack(grants: readonly GpuGrant[]): void {
    for (const grant of grants) {
      const state = this.#device(grant.index);
      state.freeShare += grant.share;
      state.freeMemoryBytes += grant.memoryBytes;
      assert(
        state.freeShare <= FIXED_ONE && state.freeMemoryBytes <= state.device.memoryBytes,
        `gave back more of GPU ${grant.index} than was taken`,
      );
    }
  }

  /** Why `choose` gave nothing, in words. */
  describeShortfall(demand: GpuDemand): string {
    if (this.#devices.length === 0) return 'has no GPU';
    const candidates = this.#devices.filter(({ device }) => modelMatches(device, demand));
    if (candidates.length === 0) {
      const models = [...new Set(this.#devices.map(({ device }) => device.model))].join(', ');
      return `has no "${demand.model}" GPU, only ${models}`;
    }
    if (demand.share === FIXED_ONE) return describeWhole(demand, candidates);
    const largest = Math.max(...candidates.map(({ device }) => device.memoryBytes));
    if (demand.memoryBytes > largest) {
      return `needs ${formatBytes(demand.memoryBytes)} on one GPU, its largest has ${formatBytes(largest)}`;
    }
    const mostMemory = Math.max(...candidates.map((state) => state.freeMemoryBytes));
    const mostShare = Math.max(...candidates.map((state) => state.freeShare));
    if (demand.memoryBytes > mostMemory || demand.share === 0) {
      return `needs ${formatBytes(demand.memoryBytes)} on one GPU, at most ${formatBytes(mostMemory)} free on one`;
    }
    return `needs ${formatFixedPoint(demand.share)} of one GPU, at most ${formatFixedPoint(mostShare)} free on one`;
  }

  #acceptsModel(demand: GpuDemand): boolean {
    return demand.model === undefined || this.hasModel(demand.model);
  }

  #fitsNow(state: DeviceState, demand: GpuDemand): boolean {
    if (!modelMatches(state.device, demand)) return false;
    if (demand.memoryBytes > state.device.memoryBytes) return false;
    const grant = grantOn(state.device, demand);
    return grant.share <= state.freeShare && grant.memoryBytes <= state.freeMemoryBytes;
  }

  #device(index: number): DeviceState {
    const state = this.#devices.find(({ device }) => device.index === index);
    assert(state !== undefined, `there is no GPU ${index}`);
    return state;
  }
}

function modelMatches(device: GpuDevice, demand: GpuDemand): boolean {
  return demand.model === undefined || device.model.toLowerCase().includes(demand.model);
}

/** Rounded down, so that three thirds fit one device; the other dimension is exact and keeps the sum honest. */
function grantOn(device: GpuDevice, demand: GpuDemand): GpuGrant {
  if (demand.share === FIXED_ONE) {
    return { index: device.index, share: FIXED_ONE, memoryBytes: device.memoryBytes };
  }
  const share =
    demand.share > 0
      ? demand.share
      : Math.max(1, Math.floor((demand.memoryBytes / Math.max(1, device.memoryBytes)) * FIXED_ONE));
  const memoryBytes =
    demand.memoryBytes > 0
      ? demand.memoryBytes
      : Math.floor((demand.share / FIXED_ONE) * device.memoryBytes);
  return { index: device.index, share, memoryBytes };
}

function describeWhole(demand: GpuDemand, candidates: readonly DeviceState[]): string {
  const large = candidates.filter(({ device }) => device.memoryBytes >= demand.memoryBytes);
  const size = demand.memoryBytes > 0 ? ` with ${formatBytes(demand.memoryBytes)}` : '';
  const unit = demand.deviceCount === 1 ? 'whole GPU' : 'whole GPUs';
  const needs = `needs ${demand.deviceCount} ${unit}${size}`;
  if (large.length < demand.deviceCount) return `${needs}, has ${large.length} in all`;
  const free = large.filter((state) => state.freeShare === FIXED_ONE).length;
  return `${needs}, ${free} of ${large.length} free`;
}
