import { hostname } from 'node:os';
import { InvalidArgumentError } from '@manta/runtime/errors/errors';
import type { NodeId } from '@manta/runtime/ids';
import type { GpuDevice, NodeCapacity } from '@manta/runtime/wire/messages';
import { detectCpus, detectMemoryBytes } from './cpu-and-memory.ts';
import {
  detectGpus,
  simulateGpus,
  systemGpuProbe,
  type GpuProbe,
  type SimulatedGpus,
} from './gpus.ts';

/** The rest is left to the object store and the system. */
const MEMORY_SHARE_FOR_ACTORS = 0.7;

export interface ResourceOptions {
  /** Default: the CPUs this process may use. */
  cpus?: number;
  /** How many devices to offer; default: all that are found. More than are found are made up (without memory). */
  gpus?: number;
  /** Default: 70 % of the machine's or the cgroup's memory. */
  memoryBytes?: number;
  /** Custom resources. */
  resources?: Record<string, number>;
  simulatedGpus?: SimulatedGpus;
}

export interface NodeResources {
  capacity: NodeCapacity;
  /** For the log: why devices that seem to be there are not offered. */
  problem?: string;
}

/**
 * What this node offers: what the options say, else what is found.
 * @throws InvalidArgumentError for a part of a device.
 */
export async function detectNodeResources(
  options: ResourceOptions,
  probe: GpuProbe = systemGpuProbe(),
): Promise<NodeResources> {
  const found = await findGpus(options, probe);
  return {
    capacity: {
      cpus: options.cpus ?? detectCpus(),
      memoryBytes: options.memoryBytes ?? Math.floor(detectMemoryBytes() * MEMORY_SHARE_FOR_ACTORS),
      resources: options.resources ?? {},
      gpus: found.gpus,
    },
    ...(found.problem === undefined ? {} : { problem: found.problem }),
  };
}

async function findGpus(
  options: ResourceOptions,
  probe: GpuProbe,
): Promise<{ gpus: GpuDevice[]; problem?: string }> {
  if (options.gpus !== undefined && !Number.isInteger(options.gpus)) {
    throw new InvalidArgumentError(
      `A node offers whole GPUs; got gpus: ${options.gpus}. Actors may ask for shares of one.`,
    );
  }
  if (options.gpus === 0) return { gpus: [] };
  const found = options.simulatedGpus
    ? { gpus: simulateGpus(options.simulatedGpus) }
    : await detectGpus(probe);
  if (options.gpus === undefined) return found;
  const missing = Math.max(0, options.gpus - found.gpus.length);
  const made = simulateGpus({ count: missing, memoryBytes: 0, model: 'unknown' });
  const firstFreeIndex = Math.max(-1, ...found.gpus.map((gpu) => gpu.index)) + 1;
  for (const device of made) device.index += firstFreeIndex;
  return { ...found, gpus: [...found.gpus.slice(0, options.gpus), ...made] };
}

/** Labels every node has; the options' own win over all but the node id. */
export function nodeLabels(
  nodeId: NodeId,
  gpus: readonly GpuDevice[],
  own: Record<string, string> = {},
): Record<string, string> {
  const accelerator = gpus[0]?.model;
  return {
    'manta/hostname': hostname(),
    ...(accelerator === undefined ? {} : { 'manta/accelerator-type': accelerator }),
    ...own,
    'manta/node-id': nodeId,
  };
}
