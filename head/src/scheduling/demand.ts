import { gpuDemandOf } from '@manta/runtime/resources/gpu-vector';
import type { ResourceDemand } from '@manta/runtime/resources/node-resources';
import { resourceSetOf } from '@manta/runtime/resources/resource-set';
import type { Demand } from '@manta/runtime/wire/messages';
import { parseLabels, type LabelRequirement } from './labels.ts';

export interface NodeAffinity {
  readonly nodeId: string;
  /** Another node will do when this one cannot. */
  readonly soft: boolean;
}

/** A `Demand` in the form that the scheduler works on: fixed point, parsed, checked. */
export interface CompiledDemand extends ResourceDemand {
  readonly labels: readonly LabelRequirement[];
  readonly strategy: 'hybrid' | 'spread';
  readonly affinity?: NodeAffinity;
  /** Equal for demands that every node answers alike: what waits is looked at once per shape. */
  readonly shape: string;
}

/** @throws InvalidArgumentError that names the wrong field. */
export function compileDemand(demand: Demand): CompiledDemand {
  const scheduling = demand.scheduling ?? 'hybrid';
  const compiled = {
    set: resourceSetOf(demand.resources),
    gpu: gpuDemandOf(demand.resources.gpus, demand.gpuMemoryBytes, demand.acceleratorType),
    labels: parseLabels(demand.labels ?? {}),
    shape: JSON.stringify(demand),
  };
  if (typeof scheduling === 'string') return { ...compiled, strategy: scheduling };
  const affinity = { nodeId: scheduling.nodeId, soft: scheduling.soft ?? false };
  return { ...compiled, strategy: 'hybrid', affinity };
}
