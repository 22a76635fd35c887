import type { NodeId } from '@manta/runtime/ids';
import { assert } from '@manta/runtime/assert';
import { choosePreferred } from './affinity-policy.ts';
import type { CompiledDemand } from './demand.ts';
import { describeRefusal, fitOf } from './filters.ts';
import { chooseHybrid } from './hybrid-policy.ts';
import type { NodeView } from './node-view.ts';
import { chooseSpread } from './spread-policy.ts';

export type PerNode = Record<string, string>;

/** `infeasible`: no node as it is could ever hold it, however empty. */
export type SchedulingOutcome =
  | { readonly outcome: 'placed'; readonly nodeId: NodeId; readonly gpuIndexes: number[] }
  | { readonly outcome: 'wait'; readonly perNode: PerNode }
  | { readonly outcome: 'infeasible'; readonly perNode: PerNode };

/** A reason is kept for so many nodes; a cluster of thousands would not be read anyway. */
const REASONS_MAX = 100;

/** Filters, then policy. Pure: nothing is reserved here. */
export function schedule(demand: CompiledDemand, nodes: Iterable<NodeView>): SchedulingOutcome {
  const fitting: NodeView[] = [];
  let anyLater = false;
  const all = [...nodes];
  for (const node of all) {
    const fit = fitOf(node, demand);
    if (fit === 'now') fitting.push(node);
    else if (fit === 'later') anyLater = true;
  }
  const chosen = choose(fitting, demand);
  if (chosen !== undefined) {
    const gpuIndexes = chosen.resources.choose(demand);
    assert(gpuIndexes !== undefined, 'a node that fits has devices to use');
    return { outcome: 'placed', nodeId: chosen.nodeId, gpuIndexes };
  }
  return { outcome: anyLater ? 'wait' : 'infeasible', perNode: explainRefusals(demand, all) };
}

export function explainRefusals(demand: CompiledDemand, nodes: Iterable<NodeView>): PerNode {
  const perNode: PerNode = {};
  let count = 0;
  for (const node of nodes) {
    if (++count > REASONS_MAX) break;
    perNode[node.nodeId] = describeRefusal(node, demand);
  }
  return perNode;
}

function choose(fitting: readonly NodeView[], demand: CompiledDemand): NodeView | undefined {
  if (fitting.length === 0) return undefined;
  const preferred = demand.affinity && choosePreferred(fitting, demand.affinity);
  if (preferred !== undefined) return preferred;
  return demand.strategy === 'spread' ? chooseSpread(fitting) : chooseHybrid(fitting, demand);
}
