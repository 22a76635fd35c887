import type { CompiledDemand } from './demand.ts';
import { describeUnmet, meetsRequirement } from './labels.ts';
import type { NodeView } from './node-view.ts';

/** `now` it fits, `later` it may, `never` this node as it is. */
export type Fit = 'now' | 'later' | 'never';

/** Does the node pass every filter but free room? */
function admits(node: NodeView, demand: CompiledDemand): boolean {
  if (node.state === 'dead' || node.state === 'draining') return false;
  if (
    demand.affinity !== undefined &&
    !demand.affinity.soft &&
    demand.affinity.nodeId !== node.nodeId
  ) {
    return false;
  }
  for (const requirement of demand.labels) {
    if (!meetsRequirement(requirement, node.labels)) return false;
  }
  return true;
}

export function fitOf(node: NodeView, demand: CompiledDemand): Fit {
  if (!admits(node, demand)) return 'never';
  if (node.state === 'alive' && node.resources.choose(demand) !== undefined) return 'now';
  return node.resources.canEverHold(demand) ? 'later' : 'never';
}

/** Why the node does not take it now, in an operator's words: the first thing that would have to change. */
export function describeRefusal(node: NodeView, demand: CompiledDemand): string {
  if (node.state === 'dead' || node.state === 'draining') return describeState(node);
  const { affinity } = demand;
  if (affinity !== undefined && !affinity.soft && affinity.nodeId !== node.nodeId) {
    return `is not the wanted node ${affinity.nodeId}`;
  }
  const unmet = demand.labels.filter((requirement) => !meetsRequirement(requirement, node.labels));
  if (unmet.length > 0)
    return unmet.map((requirement) => describeUnmet(requirement, node.labels)).join('; ');
  const shortfall = node.resources.describeShortfall(demand);
  if (shortfall.length > 0) return shortfall.join('; ');
  return describeState(node);
}

function describeState(node: NodeView): string {
  return node.reason === undefined ? `is ${node.state}` : `is ${node.state}: ${node.reason}`;
}
