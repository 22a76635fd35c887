import { isEmptyDemand } from '@manta/runtime/resources/node-resources';
import type { CompiledDemand } from './demand.ts';
import type { NodeView } from './node-view.ts';

/** Below this utilisation nodes are filled one after the other; above it the least loaded is taken. */
const PACK_UNTIL = 0.5;

/**
 * The default: pack, then spread. Work without GPUs keeps off GPU nodes while others have room; what needs nothing
 * goes where the fewest actors are, for its true cost is its process.
 */
export function chooseHybrid(
  fitting: readonly NodeView[],
  demand: CompiledDemand,
): NodeView | undefined {
  const candidates = demand.gpu.deviceCount > 0 ? fitting : withoutGpusIfAny(fitting);
  const isBetter = isEmptyDemand(demand) ? hasFewerActors : isBetterHybrid;
  let best: NodeView | undefined;
  for (const node of candidates) {
    if (best === undefined || isBetter(node, best)) best = node;
  }
  return best;
}

function withoutGpusIfAny(nodes: readonly NodeView[]): readonly NodeView[] {
  const plain = nodes.filter((node) => node.resources.gpus.deviceCount === 0);
  return plain.length > 0 ? plain : nodes;
}

function isBetterHybrid(a: NodeView, b: NodeView): boolean {
  const loadA = a.resources.utilisation;
  const loadB = b.resources.utilisation;
  const packA = loadA < PACK_UNTIL;
  if (packA !== loadB < PACK_UNTIL) return packA;
  if (loadA !== loadB) return packA ? loadA > loadB : loadA < loadB;
  return a.nodeId < b.nodeId;
}

export function hasFewerActors(a: NodeView, b: NodeView): boolean {
  if (a.actorCount !== b.actorCount) return a.actorCount < b.actorCount;
  return a.nodeId < b.nodeId;
}
